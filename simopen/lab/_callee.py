"""The two ends of `Host.call`: a function's name and arguments over, its result or error back.

Run in a host as `PROGRAM`, it reads a pickled `Request` from standard input, calls, and writes a
pickled answer to the descriptor it is given: standard output and error are the called function's.

A function is named by its module and qualified name. A module that cannot be imported by its name,
as the main script or a test file, is loaded from its file; the main script under another name than
`__main__`, so that it does not run as a program once more (as in multiprocessing's spawn).
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import io
import os
import pickle
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

PROGRAM = "from simopen.lab import _callee; _callee.main()"
"""What the other interpreter runs, with the number of the answer's descriptor behind it."""

_loading: list[str] = []  # scripts whose top level is being run for a function in it

_MAIN = "__main__"
_MAIN_ALIAS = "__simopen_main__"


@dataclass(frozen=True, slots=True)
class Request:
    """What to call.

    Attributes:
        module: Name of the function's module.
        file: Path of that module, if it has one.
        name: Qualified name of the function in it.
        args: Pickled arguments.
        backend: Event loop of a coroutine function.
        backend_options: Its options.
    """

    module: str
    file: str | None
    name: str
    args: bytes
    backend: str
    backend_options: dict[str, Any]

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        args: tuple[object, ...],
        backend: str,
        backend_options: dict[str, Any],
    ) -> Request:
        """Name a function.

        Raises:
            ValueError: It has no name by which another interpreter finds it.
            RuntimeError: We are such an interpreter, still loading the script.
        """
        if _loading:
            raise RuntimeError(
                "a script is loaded once more in the host that it calls a function in: "
                "put what it does under \"if __name__ == '__main__':\""
            )
        module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
        found = _look_up(sys.modules.get(module), name) if name else None
        if found is not function:
            raise ValueError(f"{function!r} is not found by a name: define it at a module's top")
        file = getattr(sys.modules[module], "__file__", None)
        path = None if file is None else str(Path(file).resolve())
        return cls(module, path, name, pickle.dumps(args), backend, backend_options)

    def call(self) -> Any:  # noqa: ANN401  # whatever the function returns
        """Find the function and call it."""
        function = _look_up(_load(self.module, self.file), self.name)
        args = pickle.loads(self.args)  # noqa: S301  # from our own parent
        if not inspect.iscoroutinefunction(function):
            return function(*args)
        import anyio  # noqa: PLC0415  # a plain function may do without

        return anyio.run(
            function, *args, backend=self.backend, backend_options=self.backend_options
        )


class _Unpickler(pickle.Unpickler):
    """Finds the main script's classes under the name that script has here."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401  # whatever is there
        return super().find_class(_MAIN if module == _MAIN_ALIAS else module, name)


def answer_file() -> IO[bytes]:
    """Return a file for the answer, in memory."""
    return os.fdopen(os.memfd_create("simopen-lab-answer"), "w+b")


def result(answer: bytes) -> Any:  # noqa: ANN401  # whatever the function returned
    """Return the result in an answer, or raise the error in it."""
    worked, value, trace = _Unpickler(io.BytesIO(answer)).load()
    if worked:
        return value
    if trace:
        value.add_note(f"raised in the host:\n{trace}")
    raise value


def _look_up(module: object, name: str) -> Any:  # noqa: ANN401  # whatever is there
    for part in name.split("."):
        module = getattr(module, part, None)
    return module


def _load(name: str, file: str | None) -> object:
    if name != _MAIN:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            if file is None:
                raise
    alias = _MAIN_ALIAS if name == _MAIN else name
    spec = importlib.util.spec_from_file_location(alias, file) if file else None
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"cannot load {name} from {file}", name=name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[alias] = module
    if name == _MAIN:
        sys.modules[_MAIN] = module  # where pickle looks for the script's own classes
    _loading.append(alias)
    try:
        spec.loader.exec_module(module)
    finally:
        _loading.pop()
    return module


def _answer(request: Request) -> bytes:
    try:
        return pickle.dumps((True, request.call(), ""))
    except Exception as error:  # noqa: BLE001  # the caller's; an exit ends this process alone
        return pickle.dumps((False, _portable(error), traceback.format_exc()))


def _portable(error: BaseException) -> BaseException:
    """Return the error, or, where it cannot travel, one that has its words."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
    except Exception:  # noqa: BLE001  # a user's class may raise anything here
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def main() -> None:
    """Serve one request."""
    data = _answer(pickle.load(sys.stdin.buffer))  # noqa: S301  # from our own parent
    with os.fdopen(int(sys.argv[1]), "wb") as file:
        file.write(data)
