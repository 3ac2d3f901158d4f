"""What a line for a shell does, where it is certain: so that an agent that only looks around reads.

A line is told where it consists of programs that only read (`readers.py`), with options that are known, in
pipelines and sequences. What expands, substitutes, assigns, redirects, runs in the background or leaves the
machine stays a command, and so does what names a secret: reading one is no harmless act.

It is told for POSIX shells (sh, bash, zsh). Not looked at is what their owner set up: aliases, `PATH`,
pagers, and programs that the configuration of a repository runs (`core.fsmonitor`, `diff.external`). A folder
of somebody else's can be a repository, so git is told only where the tool stands by itself, and `cd` is not
told. A link with a harmless name that leads to a secret is not seen.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from posixpath import normpath
from typing import Any, Final

from agentguard.provenance.names import name_words
from agentguard.provenance.reader_options import NAMES_ONLY, PLAIN
from agentguard.provenance.readers import Line, read_line
from agentguard.tools import Action

__all__ = ["command_action", "shell_action"]

_SECRETS: Final = (
    r"secret|passw|passphrase|credential|api[_.-]?keys?(?![a-z])|(?:private|access|ssh|host)[_.-]?key",
    r"keystore|keychain|keyring|wallet|login data|id_(?:rsa|dsa|ecdsa|ed25519)|_netrc|_history(?![a-z])",
    r"(?<![a-z])(?:tokens?|g?shadow|sudoers|environ|proc|kubeconfig|kcore|krb5cc\w*|cookies)(?![a-z])",
    r"\.(?:ssh|gnupg|aws|azure|kube|docker|netrc|npmrc|yarnrc|pypirc|pgpass|s3cfg|boto|my\.cnf)(?![a-z])",
    r"\.(?:env|mozilla|thunderbird|git-credentials|git/config|config/(?:gcloud|gh|google))",
    r"\.(?:pem|key|p12|pfx|jks|kdbx?|ppk|keytab|ovpn|tfstate|tfvars|gpg|asc|der)(?![a-z])",
    r"ssl/private|kubernetes/admin\.conf|htpasswd|(?:^|/)env$",
)
"""What a word that leads to secrets looks like, in lower case."""

_NAMES: Final = (
    ".env", ".env.local", ".ssh", ".aws", ".gnupg", ".kube", ".docker", ".netrc", ".npmrc", ".pypirc",
    ".pgpass", ".git-credentials", ".bash_history", "id_rsa", "id_ed25519", "credentials",
    "credentials.json", "secret", "secrets", "secrets.yaml", "secrets.yml", "secrets.json",
    "secrets.toml", "secrets.env", "server.pem", "private.key", "token", "token.txt", "passwords.txt",
    "password.txt", "shadow", "environ", "proc",
)  # fmt: skip
"""Names that a pattern must not match."""

_ELSEWHERE: Final = ("/net/", "/afs/", "/dev/", "/proc/")
"""Places where looking already reaches another machine or a device."""

_LONGEST: Final = 4_000
_LONGEST_WORD: Final = 1_000
_MOST_WORDS: Final = 200
_SECRET: Final = re.compile("|".join(_SECRETS))
_PIECE: Final = r"""[\w./+=:,@%^~*?\[\]#-]|'(?:[^'\\]|\\(?!'))*'|"(?:[^"$`!\\]|\\[^"$`!\\])*\""""
_TOKEN: Final = re.compile(
    rf"(?P<blank> +)|(?P<quiet>(?:2>&1|2?> ?/dev/null)(?=[ ;|&]|$))|(?P<next>\|\||&&|[|;])"
    rf"|(?P<word>(?:{_PIECE})++)"
)
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_HOST: Final = re.compile(r"[/\\]{2}\w")
_QUOTED: Final = re.compile(r"""'[^']*'|"[^"]*\"""")
_RUNS: Final = re.compile(r"`|\$[({\[]")
_GLOB: Final = re.compile(r"[*?\[]")

_SHELLS: Final = frozenset(
    ["bash", "shell", "sh", "zsh", "terminal", "command", "commands", "cmd", "commandline"]
)
_OTHERS: Final = frozenset((
    "python", "python3", "py", "ipython", "jupyter", "notebook", "node", "js", "javascript",
    "typescript", "ruby", "perl", "php", "lua", "r", "repl", "code", "powershell", "pwsh", "windows",
    "batch", "dos", "fish", "csh", "tcsh", "nu", "redis", "mongo", "mongodb", "psql", "graphql",
    "cypher", "vim", "emacs", "browser", "applescript", "ssh", "remote", "sudo", "root", "admin", "adb",
    "telnet", "serial", "docker", "container", "pod", "kubectl", "kubernetes", "background", "async",
    "robot", "device", "game", "minecraft", "chat", "bot", "slash", "voice",
))  # fmt: skip
_DIRECTORIES: Final = frozenset(
    ["cwd", "workdir", "working_directory", "working_dir", "directory", "dir", "dir_path", "work_dir"]
)
_BESIDE: Final = frozenset((
    "timeout", "timeout_ms", "timeout_seconds", "timeout_s", "timeout_sec", "timeout_millis",
    "max_output_tokens", "max_output_length", "max_output_chars", "yield_time_ms", "description",
    "explanation", "reason", "justification", "purpose", "thought",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Word:
    """A word as the program gets it; `glob` where the shell may put names of files in its place."""

    text: str
    glob: bool


def shell_action(tool: Iterable[str], name: str, args: Mapping[str, Any]) -> Action | None:
    """What a call of a tool whose name has these words does with the command in its argument `name`, where it
    is one of a shell and nothing else that is set changes what runs."""
    words, text = {*tool}, args[name]
    spoken = words | set(name_words(name))
    if _SHELLS.isdisjoint(spoken) or not _OTHERS.isdisjoint(spoken) or not isinstance(text, str):
        return None
    if "cmd" in words and re.search(r"['\\%^]", text):  # these mean something else in cmd.exe
        return None
    folder = ""
    for other, value in args.items():
        key = "_".join(name_words(other))
        if other == name or not value or key in _BESIDE:
            continue
        if key not in _DIRECTORIES or not isinstance(value, str) or len(value) > _LONGEST_WORD:
            return None
        folder = folder if value in (".", "./") else f"{folder}{value}/"
    return command_action(text, folder=folder)


def command_action(text: str, *, folder: str = "") -> Action | None:
    """`read` for a line that certainly only reads things of this machine, else None. `folder`: where it
    runs, if that is not where the tool stands by itself. Linear in the text, which is bounded."""
    if len(text) > _LONGEST:
        return None
    body = text.strip(" \n")
    if not body or not _typed(body) or _RUNS.search(body):
        return None
    parts = _parts(body)
    if parts is None or sum(map(len, parts)) > _MOST_WORDS:
        return None
    return "read" if all(_reads(words, folder) for words in parts) else None


def _typed(text: str) -> bool:
    """No control or format character, no blank but the space; of other scripts letters and digits only."""
    return text.isprintable() and all(one.isascii() or one.isalnum() for one in text)


def _parts(text: str) -> list[list[_Word]] | None:
    """The simple commands of a line, or None where something stands in it that is not understood."""
    parts: list[list[_Word]] = [[]]
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            return None
        at = token.end()
        match token.lastgroup:
            case "word":
                word = _word(token[0])
                if word is None or (not parts[-1] and word.text != token[0]):
                    return None
                parts[-1].append(word)
            case "next":
                if not parts[-1]:
                    return None
                parts.append([])
            case _:
                pass
    if not parts[-1] and text.endswith(";"):
        parts.pop()
    return parts if all(parts) else None


def _word(raw: str) -> _Word | None:
    """A word without its quotes. `#` begins a comment."""
    if raw.startswith("#") or len(raw) > _LONGEST_WORD:
        return None
    if not _QUOTED.search(raw):
        return _Word(raw, bool(_GLOB.search(raw)))
    found = shlex.split(raw, comments=False, posix=True)
    return _Word(found[0], bool(_GLOB.search(_QUOTED.sub("", raw)))) if len(found) == 1 else None


def _reads(words: list[_Word], folder: str) -> bool:
    texts = [word.text for word in words]
    if any(_leads(text) or (folder and _leads(folder + text)) for text in texts):
        return False
    if folder and texts[0] == "git":
        return False
    line = read_line(texts)
    if line is None or any(map(_covers_secret, line.of("--include"))):
        return False
    return all(_expands_well(word, line) for word in words if word.glob)


def _leads(text: str) -> bool:
    """Whether a word leads to a secret, to another machine or to a device."""
    folded, spaced = text.casefold(), _CAMEL.sub("_", text).casefold()
    if _SECRET.search(folded) or _SECRET.search(spaced):
        return True
    return any(map(_elsewhere, {folded, folded.rpartition("=")[2]}))


def _elsewhere(path: str) -> bool:
    """`//host` and `\\\\host` are other machines for a shell on Windows."""
    if path == "/dev/null":
        return False
    rest = re.sub(r"^(?:\.\./)+", "/", normpath(path)) + "/"
    return bool(_HOST.match(path)) or rest.startswith(_ELSEWHERE)


def _expands_well(word: _Word, line: Line) -> bool:
    """Whether what a pattern is replaced by is certain to be files, and none a secret whose content is shown.

    A name that the pattern begins may look like an option (`-o`), and several names may be one too many.
    """
    text = word.text
    at = _first(text)
    if line.most is not None or (text.startswith("/") and "/" not in text[1:at]):
        return False
    if text.startswith("-"):
        return text.startswith("--") and "=" in text[:at]
    if at == 0 and line.name not in PLAIN:
        return False
    shown = line.name not in NAMES_ONLY or (at == 0 and line.name not in ("ls", "echo"))
    return not (shown and _covers_secret(text))


def _first(text: str) -> int:
    found = _GLOB.search(text)
    return len(text) if found is None else found.start()


def _covers_secret(pattern: str) -> bool:
    """Whether a part of a pattern matches the name of a secret. A set in brackets counts as anything."""
    parts = [part for part in re.split(r"[/=]", pattern.casefold()) if _GLOB.search(part)]
    wide = [re.sub(r"\[.*", "*", part) for part in parts]
    return any(fnmatchcase(name, part) for part in wide for name in _NAMES)
