"""The errors a user or a client can meet, each with its JSON-RPC code.

    CarpoError
    ├── InvalidParams           -32602  a request of the wrong shape; the message names the field
    ├── KernelNotFound            1001
    ├── KernelStartFailed         1002  data: exitCode, stderrTail, argv, hint
    ├── KernelDied                1003
    ├── ExecutionNotFound         1004
    ├── NoInputPending            1005
    ├── DocumentNotOpen           1006
    ├── NoKernelForLanguage       1007  data: hint
    ├── KernelTimeout             1008
    ├── KernelExists              1009
    ├── Unauthorized              1010
    ├── KernelNotOurs             1011
    └── ServerFailed              1012  data: hint

They are raised where the cause is known and mapped to JSON-RPC in one place, the server.
"""

from __future__ import annotations

from typing import Any, ClassVar


class CarpoError(Exception):
    """Base of everything this package raises on purpose.

    `message` is one sentence for a person; `data` is what a program can act on (JSON values,
    camelCase keys), sent as the `data` of the JSON-RPC error beside the error's name.
    """

    code: ClassVar[int] = -32603

    def __init__(self, message: str, **data: Any) -> None:
        super().__init__(message)
        self.message = message
        self.data = data

    @property
    def advice(self) -> str:
        """The message, with a known hint in a line below it where the message has it not."""
        hint = self.data.get("hint")
        if not isinstance(hint, str) or hint in self.message:
            return self.message
        return f"{self.message}\nHint: {hint}"

    def to_data(self) -> dict[str, Any]:
        """The `data` of the JSON-RPC error: the error's name and what it carries."""
        return {"name": type(self).__name__, **self.data}


class InvalidParams(CarpoError):
    """The params of a request have the wrong shape."""

    code = -32602


class KernelNotFound(CarpoError):
    """No kernel has this id."""

    code = 1001

    @classmethod
    def of(cls, kernel_id: str) -> KernelNotFound:
        return cls(f"No kernel has the id {kernel_id!r}.", kernelId=kernel_id)


class KernelStartFailed(CarpoError):
    """A kernel could not be started; `data` tells what is known of the cause.

    Clients may count on `exitCode`, `stderrTail` and `argv`, also where nothing has been run yet.
    """

    code = 1002

    announced = False
    """Whether it has been told as the death of a kernel, too."""

    replaced = False
    """Whether the kernel's server starts another in its place."""

    def __init__(self, message: str, **data: Any) -> None:
        super().__init__(message, **{"exitCode": None, "stderrTail": "", "argv": [], **data})


class KernelDied(CarpoError):
    """The kernel ended under the request."""

    code = 1003


class ExecutionNotFound(CarpoError):
    """No execution has this id."""

    code = 1004

    @classmethod
    def of(cls, execution_id: str) -> ExecutionNotFound:
        return cls(f"No execution has the id {execution_id!r}.", executionId=execution_id)


class NoInputPending(CarpoError):
    """Input was sent to a kernel that does not wait for any."""

    code = 1005


class DocumentNotOpen(CarpoError):
    """No open document has this URI."""

    code = 1006

    @classmethod
    def of(cls, uri: str) -> DocumentNotOpen:
        return cls(f"The document {uri!r} is not open.", uri=uri)


class NoKernelForLanguage(CarpoError):
    """No installed kernelspec serves the language."""

    code = 1007


class KernelTimeout(CarpoError):
    """The kernel did not answer in time."""

    code = 1008


class KernelExists(CarpoError):
    """The id chosen by the client is taken."""

    code = 1009


class Unauthorized(CarpoError):
    """A client of a server on a TCP port does not have its token."""

    code = 1010


class KernelNotOurs(CarpoError):
    """Something was asked for that only a kernel can have which carpo has started."""

    code = 1011


class ServerFailed(CarpoError):
    """A Jupyter server cannot be reached, or refuses what it is asked.

    To clients all kinds of it are this one.
    """

    code = 1012

    def to_data(self) -> dict[str, Any]:
        return {"name": ServerFailed.__name__, **self.data}
