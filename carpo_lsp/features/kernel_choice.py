"""carpo.selectKernel: run a document in a kernel of the user's choice, this time and later."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsprotocol.types import MessageType
from msgspec import Struct

from carpo_lsp.choice import environments_near
from carpo_lsp.documents.uris import file_name
from carpo_lsp.errors import InvalidParams
from carpo_lsp.features.arguments import resolve, resolve_document
from carpo_lsp.features.selected_code import language_at, main_language
from carpo_lsp.kernels import environments
from carpo_lsp.kernels.elsewhere import addresses
from carpo_lsp.kernels.specs import canonical

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Iterator

    from carpo_lsp.documents.document import Document
    from carpo_lsp.kernels.kept.registry import Entry
    from carpo_lsp.kernels.offers import Offer
    from carpo_lsp.kernels.specs import Spec
    from carpo_lsp.protocol import Kernel
    from carpo_lsp.workspace.workspace import Workspace

NAME_KEYS = ("name", "kernel", "kernelId")


class Option(Struct, frozen=True):
    """A kernel to choose: one that runs, one that was kept, one that runs on a Jupyter server, or
    one to start from a kernelspec."""

    title: str
    names: frozenset[str]
    """What it is asked for by."""
    kernel_id: str | None = None
    entry: Entry | None = None
    """That of a kept kernel which this server does not use yet."""
    spec: Spec | None = None
    environment: environments.Environment | None = None
    remote_id: str | None = None
    """That of a kernel which runs on the Jupyter server of `spec`."""
    other: str | None = None
    """The name of a kernel that others have started, on this machine or on one reached by ssh."""


def select_kernel(workspace: Workspace, arguments: list[Any]) -> Coroutine[Any, Any, None]:
    """Run a document in another kernel: a running one, be it kept by an editor that has quit or on
    a Jupyter server, a kernelspec, there or here, or a Python environment.

    `["name"]`, `[uri, "name"]` or `[{uri, name}]`, where the name is that of a kernelspec or an
    environment, a path, or the id of a running kernel; for a Jupyter server in the settings it is
    `NAME@SERVER` or `ID@SERVER`. Kernels that others have started are called as for `--existing` of
    Jupyter's programs, `newest` among them, and `ssh:HOST/NAME` is such a kernel, or a kernelspec,
    on a host that is reached by ssh. Without a name the user is asked; a client that cannot ask
    shows what there is. A kernelspec is remembered for the project.
    """
    document, language, name = _read(workspace, arguments)
    options = list(_options(workspace, document, language))
    servers = workspace.frontend.manager.servers
    on_server = name is not None and "@" in name and not name.startswith(addresses.SCHEME)
    if name is not None and not (servers.named and on_server):
        try:
            found = _find(options, name)
        except InvalidParams as unknown:
            return _attach(workspace, document, language, name, unknown)
        return _take(workspace, document, language, found)

    async def ask() -> None:
        offers = await (workspace.frontend.list_remote() if name is None else servers.offers())
        options.extend(_remote_options(workspace, language, offers))
        if name is not None:
            await _take(workspace, document, language, _find(options, name))
            return
        options.extend(await _other_options(workspace, language))
        if not workspace.client.can_ask:
            raise _nameless(options)
        question = f"Which kernel is to run {file_name(document.uri)}?"
        title = await workspace.client.choose(question, [option.title for option in options])
        chosen = next((option for option in options if option.title == title), None)
        if chosen is not None:
            await _take(workspace, document, language, chosen)

    return ask()


async def _attach(
    workspace: Workspace, document: Document, language: str, name: str, unknown: InvalidParams
) -> None:
    """Run a document in a kernel that others have started, or in a new one on a host.

    Raises `unknown` when no kernel has that name, or another `CarpoError`.
    """
    there = addresses.parse(name)
    if there is not None and there[1] is not None:
        from carpo_lsp.kernels.elsewhere import hosts

        addresses.check_host(there[0])
        specs = {spec.name: spec for spec in await hosts.specs(there[0])}
        if name in specs:
            await _take(workspace, document, language, Option(name, frozenset(), spec=specs[name]))
            return
    if there is None and not await workspace.frontend.is_running(name):
        raise unknown
    await _take(workspace, document, language, Option(name, frozenset(), other=name))


async def _other_options(workspace: Workspace, language: str) -> list[Option]:
    """The kernels for a language that run on this machine and that others have started."""
    used = {kernel.connection_file for kernel in workspace.frontend.list_kernels()}
    return [
        Option(
            f"{each.display_name}, running, started elsewhere ({each.state}, pid {each.pid})",
            frozenset({each.kernel_id, each.connection_file}),
            other=each.connection_file,
        )
        for each in await workspace.frontend.list_running_here()
        if not each.kept
        and each.connection_file not in used
        and canonical(each.language) == canonical(language)
    ]


def _nameless(options: list[Option]) -> InvalidParams:
    known = "; ".join(f"{_name(each)!r} ({each.title})" for each in options) or "none"
    return InvalidParams(
        f"Give carpo.selectKernel the name of a kernel: {known}. The arguments are "
        '["name"] or [uri, "name"].'
    )


def _read(workspace: Workspace, arguments: list[Any]) -> tuple[Document, str, str | None]:
    """The document and the language that are meant, and the kernel that is asked for, if any."""
    name: Any = None
    for argument in arguments[:1]:
        if isinstance(argument, dict):
            given = (argument.get(key) for key in NAME_KEYS)
            name = next((value for value in given if value is not None), None)
            if not argument.keys() - NAME_KEYS:
                arguments = []
    if len(arguments) == 1 and isinstance(arguments[0], str):
        if workspace.find_document(arguments[0]) is None:
            arguments, name = [], arguments[0]
    elif len(arguments) > 1 and isinstance(arguments[1], str) and not arguments[1].isdigit():
        arguments, name = arguments[:1], arguments[1]
    if name is not None and not (isinstance(name, str) and name):
        raise InvalidParams(f"arguments: {name!r} is not the name of a kernel.")
    document = resolve_document(workspace, arguments)
    try:
        language = language_at(document, resolve(workspace, arguments).position.line)
    except InvalidParams:  # no place in the document is known, nor needed
        language = main_language(document)
    return document, language, name


def _options(workspace: Workspace, document: Document, language: str) -> Iterator[Option]:
    """What serves a language, running ones first; everything, where nothing does."""
    frontend = workspace.frontend
    kernels = map(workspace.with_documents, frontend.list_kernels())
    wish = workspace.wish(document, language)
    near = list(environments_near([wish.folder], wish.roots)) if language == "python" else []
    specs = frontend.manager.specs.all()
    fitting = [spec for spec in specs if spec.serves(language)]
    for kernel in kernels:
        fits = canonical(kernel.language) == canonical(language) or not (fitting or near)
        if fits and kernel.status != "dead":
            yield Option(
                _title_of_running(kernel), _names_of_running(kernel), kernel_id=kernel.kernel_id
            )
    for entry in frontend.manager.registry.entries():
        fits = entry.spec.serves(language) or not (fitting or near)
        if fits and entry.alive and not workspace.exists(entry.kernel_id):
            names = frozenset({entry.kernel_id})
            yield Option(_title_of_kept(entry), names, kernel_id=entry.kernel_id, entry=entry)
    for environment in near:
        spec = environment.spec()
        title = f"{spec.display_name} at {spec.path}"
        if not environment.has_kernel:
            title += ", without ipykernel"
        names = frozenset({spec.name, spec.path, str(environment.python), spec.display_name})
        yield Option(title, names, spec=spec, environment=environment)
    for spec in fitting or specs:
        title = f"{spec.display_name} [{spec.name}]"
        yield Option(title, frozenset({spec.name, spec.path, spec.display_name}), spec=spec)


def _remote_options(
    workspace: Workspace, language: str, offers: Iterable[Offer]
) -> Iterator[Option]:
    """What named servers and hosts have for a language, running ones first; that one cannot be
    asked is told."""
    used = {kernel.remote_kernel_id for kernel in workspace.frontend.list_kernels()}
    to_start: list[Option] = []
    for offer in offers:
        if offer.error is not None:
            workspace.client.show_message(offer.error, MessageType.Warning)
        specs = {spec.name: spec for spec in offer.specs if spec.serves(language)}
        for kernel in offer.kernels:
            spec = specs.get(kernel.spec_name)
            if spec is None or kernel.kernel_id in used:
                continue
            title = f"{spec.display_name}, running ({kernel.state}, {kernel.kernel_id})"
            names = frozenset({kernel.kernel_id, kernel.name})
            if spec.server:
                yield Option(title, names, spec=spec, remote_id=kernel.kernel_id)
            else:
                yield Option(title, names, other=kernel.name)
        for spec in specs.values():
            title = f"{spec.display_name} [{spec.name}]"
            to_start.append(Option(title, frozenset({spec.name}), spec=spec))
    yield from to_start


def _names_of_running(kernel: Kernel) -> frozenset[str]:
    """Its id here, and on its Jupyter server."""
    names = {kernel.kernel_id}
    if kernel.remote_kernel_id is not None and kernel.spec_name is not None:
        server = kernel.spec_name.rpartition("@")[2]
        names |= {kernel.remote_kernel_id, f"{kernel.remote_kernel_id}@{server}"}
    return frozenset(names)


def _title_of_running(kernel: Kernel) -> str:
    facts: list[str] = [kernel.status]
    if kernel.pid is not None:
        facts.append(f"pid {kernel.pid}")
    if kernel.resources is not None:
        facts.append(f"{kernel.resources.rss_bytes // 2**20} MB")
        facts.append(f"{kernel.resources.cpu_percent:.0f} % CPU")
    names = [file_name(uri) for uri in kernel.documents]
    facts += names[:2]
    return f"{kernel.display_name}, running ({', '.join(facts)})"


def _title_of_kept(entry: Entry) -> str:
    facts = [f"pid {entry.pid}", f"since {entry.since[:16].replace('T', ' ')} UTC"]
    facts += [file_name(uri) for uri, _ in entry.documents[:2]]
    return f"{entry.spec.display_name}, kept ({', '.join(facts)})"


def _name(option: Option) -> str:
    if option.other is not None:
        return option.other
    if option.remote_id is not None and option.spec is not None:
        return f"{option.remote_id}@{option.spec.server}"
    return option.kernel_id or (option.spec.name if option.spec is not None else option.title)


def _find(options: list[Option], name: str) -> Option:
    """The option of a name, which may also be the path of one that is not listed.

    Raises `InvalidParams`, `KernelStartFailed` or `NoKernelForLanguage`.
    """
    for option in options:
        if name in option.names:
            return option
    if "/" in name:
        spec = environments.spec_at(Path(name).expanduser().absolute())
        if spec is not None:
            return Option(name, frozenset({name}), spec=spec)
    known = ", ".join(repr(_name(option)) for option in options) or "none"
    raise InvalidParams(f"No kernel is named {name!r}; there are: {known}.")


def _take(
    workspace: Workspace, document: Document, language: str, option: Option
) -> Coroutine[Any, Any, None]:
    """Bind the document, and once the kernel is ready say so and remember the choice.

    Raises `CarpoError`, as the coroutine does for a kernel that does not start.
    """
    frontend = workspace.frontend
    project = workspace.project_of(document)
    if option.kernel_id is not None:
        kernel_id = option.kernel_id
        if option.entry is not None:
            workspace.kept.use(option.entry)
        workspace.select_kernel(document.uri, kernel_id, language)
    elif option.remote_id is not None:
        assert option.spec is not None  # that of its server
        kernel_id = frontend.manager.attach_remote(option.spec, option.remote_id).kernel_id
        workspace.select_kernel(document.uri, kernel_id, language)
    elif option.other is not None:
        return _take_other(workspace, document, language, option.other)
    else:
        assert option.spec is not None  # an option is one or the other
        if option.environment is not None:
            option.environment.require_kernel()
        bound = workspace.bound_kernel(document, language)
        if bound is not None and frontend.manager.get(bound).spec.key == option.spec.key:
            kernel_id = bound
        else:
            workspace.trust.add(project)
            workspace.documents.unbind(document.uri, language)
            kernel_id = workspace.bind_to(document, language, option.spec)
    spec = frontend.manager.get(kernel_id).spec

    async def finish() -> None:
        await frontend.wait_ready(kernel_id)
        own = option.remote_id is None and not spec.host  # else it is not to start by itself
        if own and spec.key:
            workspace.choices.remember(project, language, spec)
        name = file_name(document.uri)
        display_name = frontend.get_kernel(kernel_id).display_name
        workspace.client.show_message(f"{name} runs in {display_name}.", MessageType.Info)

    return finish()


async def _take_other(workspace: Workspace, document: Document, language: str, other: str) -> None:
    kernel_id = await workspace.frontend.attach_kernel(other, again=False)
    if workspace.documents.find(document.uri) is None:
        return  # closed meanwhile
    workspace.select_kernel(document.uri, kernel_id, language)
    display_name = workspace.frontend.get_kernel(kernel_id).display_name
    workspace.client.show_message(
        f"{file_name(document.uri)} runs in {display_name}, which others have started.",
        MessageType.Info,
    )
