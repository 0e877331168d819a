

def require_torch() -> None:
    """Raise InputError with the way out when the extra `train` is not installed."""
    from importlib.util import find_spec

    from syncnet.errors import InputError

    if find_spec("torch") is None:
        raise InputError("this command needs PyTorch: install it with `pip install 'syncnet[train]'`.")
