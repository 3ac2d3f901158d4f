"""The options with which programs only read, as data.

They are those of the manuals of GNU coreutils 9, findutils, grep, sed, tar, git 2.39, jq, ripgrep,
procps, systemd, kubectl, docker and pip, without those that write, run a program, wait for ever, read
names of files from a file, show an environment or reach another machine (beyond the cluster that
`kubectl` is set up for).

Not here at all: `docker inspect`, which shows the environment of a container, and `npm`, which asks a
registry that the project names for a newer version of itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["COUNTED", "FIND_TESTS", "FIND_WORDS", "MOST", "NAMES_ONLY", "PLAIN", "PROCESSES", "PROGRAMS"]

_LOG: Final = (
    "-psiEFwbz -n: -U: -M? -C? -S: -G: -L: --all --branches --tags --remotes --oneline --graph "
    "--decorate? --patch --stat? --shortstat --numstat --name-only --name-status --no-patch --summary "
    "--raw --no-color --color? --word-diff? --no-ext-diff --no-textconv --no-renames --diff-filter: "
    "--max-count: --skip: --since: --until: --after: --before: --author: --committer: --grep: --format: "
    "--pretty? --date: --abbrev-commit --abbrev? --follow --reverse --merges --no-merges --first-parent "
    "--full-history --ignore-all-space --find-renames? --unified: --cached --staged --merge-base --quiet "
    "--exit-code --check --left-right --topo-order --date-order --no-decorate --relative"
)
_SEARCH: Final = (
    "-nilcwvFEPohHsqxrRIa -e: -m: -A: -B: -C: --include: --exclude: --exclude-dir: --color? --line-number "
    "--ignore-case --files-with-matches --count --word-regexp --invert-match --fixed-strings "
    "--extended-regexp --only-matching --no-filename --with-filename --recursive --max-count: --context: "
    "--after-context: --before-context: --regexp: --no-messages --quiet --files-without-match"
)
_SUM: Final = "-bctwz --check --quiet --status --tag --binary --text"

PROGRAMS: Final[Mapping[str, str]] = {
    "basename": "-az -s: --suffix:",
    "cat": "-AbeEnstTuv --number --show-all --squeeze-blank --number-nonblank --show-ends --show-tabs",
    "cmp": "-slb -n: -i: --silent --bytes: --verbose",
    "cut": "-sz -d: -f: -c: -b: --complement --delimiter: --fields: --characters: --output-delimiter:",
    "date": "-uRI? -d: -r: --utc --date: --iso-8601? --rfc-3339: --reference: --rfc-email",
    "df": "-ahiklPTH -t: -x: -B: --total --human-readable --inodes --output? --type: --local",
    "diff": (
        "-uqsiwbBNaycr -U: -C: -x: -W: --brief --unified? --color? --recursive --side-by-side --exclude: "
        "--ignore-all-space --ignore-blank-lines --suppress-common-lines --label: --width:"
    ),
    "dirname": "-z",
    "docker images": "-aq --all --quiet --no-trunc --digests -f: --filter: --format:",
    "docker logs": "-t -n: --tail: --since: --until: --timestamps",
    "docker ps": "-aqsl -n: --all --quiet --size --latest --last: --no-trunc -f: --filter: --format:",
    "du": (
        "-hsackmbxLl -d: -B: --max-depth: --exclude: --apparent-size --summarize --human-readable --total"
    ),
    "file": "-biLhk --brief --mime --mime-type --mime-encoding --dereference",
    "free": "-hmgkbtwl --human --mega --giga --total --wide",
    "git --version": "",
    "git blame": "-wseltpfn -L: -M? -C? --porcelain --line-porcelain --date: --show-email --root",
    "git branch": (
        "-arv --all --remotes --list --verbose --show-current --sort: --format: --contains? "
        "--no-contains? --merged? --no-merged? --points-at: --no-color --color? --column?"
    ),
    "git cat-file": "-pste",
    "git describe": (
        "--tags --always --dirty? --long --abbrev? --all --match: --exclude: --contains --exact-match"
    ),
    "git diff": _LOG,
    "git grep": (
        "-nilLcwvEFPhHopWI -e: -m: -A: -B: -C: --cached --count --heading --break --line-number "
        "--ignore-case --files-with-matches --name-only --word-regexp --fixed-strings --extended-regexp "
        "--all-match --and --or --not --show-function --max-depth: --only-matching --no-color"
    ),
    "git log": _LOG,
    "git ls-files": (
        "-cdmoistuz --cached --deleted --modified --others --ignored --stage --exclude-standard "
        "--error-unmatch --full-name --unmerged --directory --eol"
    ),
    "git ls-tree": "-drtlz --name-only --name-status --full-name --full-tree --long --object-only",
    "git merge-base": "-a --all --is-ancestor --octopus --fork-point",
    "git remote": "-v --verbose",
    "git rev-list": (
        "-n: --all --count --max-count: --since: --until: --author: --merges --no-merges --reverse "
        "--first-parent --left-right --oneline --parents"
    ),
    "git rev-parse": (
        "-q --short? --abbrev-ref? --show-toplevel --verify --quiet --git-dir --show-prefix --show-cdup "
        "--is-inside-work-tree --is-bare-repository --symbolic-full-name --absolute-git-dir"
    ),
    "git shortlog": "-sne --summary --numbered --email --since: --until: --no-merges --all",
    "git show": _LOG,
    "git status": (
        "-sbvz --short --branch --porcelain? -u? --untracked-files? --ignored? --long --show-stash "
        "--ahead-behind --no-ahead-behind --no-renames"
    ),
    "git tag": "-l --list --sort: --format: --contains? --merged? --points-at: -n?",
    "grep": _SEARCH,
    "egrep": _SEARCH,
    "fgrep": _SEARCH,
    "head": "-qvz -n: -c: --lines: --bytes: --quiet --verbose",
    "hostname": "-sI --short",
    "id": "-ugGnrz --user --group --groups --name --real",
    "journalctl": (
        "-bkrxeaq -n: -u: -p: -S: -U: -t: -o: -g: --no-pager --unit: --lines: --since: --until: --grep: "
        "--priority: --reverse --dmesg --boot? --list-boots --output: --user --system --no-hostname "
        "--disk-usage --utc --identifier: --quiet --no-full"
    ),
    "jq": (
        "-rcSnesjRaMC --raw-output --compact-output --sort-keys --null-input --exit-status --slurp "
        "--raw-input --join-output --monochrome-output --color-output --ascii-output --tab --indent:"
    ),
    "kubectl describe": "-n: --namespace: -l: --selector: -A --all-namespaces --show-events?",
    "kubectl explain": "--recursive? --api-version:",
    "kubectl get": (
        "-n: --namespace: -l: --selector: -A --all-namespaces -o: --output: --no-headers? --show-labels? "
        "--sort-by: --field-selector: -L: --label-columns: --show-kind? --ignore-not-found?"
    ),
    "kubectl logs": (
        "-n: --namespace: -l: --selector: -c: --container: -p --previous? --tail: --since: --since-time: "
        "--timestamps? --all-containers? --prefix? --limit-bytes:"
    ),
    "kubectl top": (
        "-n: --namespace: -l: --selector: -A --all-namespaces --containers? --no-headers? --sort-by:"
    ),
    "kubectl version": "--client? -o: --output:",
    "ls": (
        "-1aAbBcCdfFgGhHiklLmnNopqQrRsStuUvxXZ -I: -w: -T: --all --almost-all --color? --directory "
        "--recursive --human-readable --reverse --size --sort: --time: --time-style: --full-time "
        "--group-directories-first --inode --classify? --file-type --ignore: --si --no-group "
        "--numeric-uid-gid --hide: --width: --zero"
    ),
    "md5sum": _SUM,
    "nl": "-p -b: -n: -w: -s: -v: -i: -h: -f: -d: -l: --body-numbering: --number-width: --number-format:",
    "pip list": (
        "-vle --format: --local --user --editable --not-required --exclude: --disable-pip-version-check"
    ),
    "pip show": "-fv --files --verbose --disable-pip-version-check",
    "printf": "",
    "pwd": "-LP",
    "readlink": "-femnqsvz --canonicalize --canonicalize-existing --canonicalize-missing --no-newline",
    "realpath": (
        "-emsPLqz --relative-to: --relative-base: --canonicalize-existing --canonicalize-missing --strip"
    ),
    "rg": (
        "-nilcwvFoSsPHIqxjU -e: -m: -A: -B: -C: -t: -T: -j: --line-number --no-line-number --ignore-case "
        "--files-with-matches --count --word-regexp --invert-match --fixed-strings --only-matching "
        "--smart-case --files --type: --type-not: --type-list --no-heading --heading --color: "
        "--max-count: --context: --after-context: --before-context: --sort: --max-depth: --stats "
        "--no-filename --with-filename --json --multiline --column --trim"
    ),
    "sed": "-n -e: --quiet --silent --expression:",
    "sha1sum": _SUM,
    "sha256sum": _SUM,
    "sha512sum": _SUM,
    "sort": (
        "-bdfghiMnrRuVzcCms -k: -t: --key: --field-separator: --reverse --numeric-sort --unique --stable "
        "--human-numeric-sort --version-sort --general-numeric-sort --ignore-case --check? "
        "--dictionary-order"
    ),
    "stat": "-fLt -c: --format: --printf: --file-system --dereference --terse",
    "systemctl list-units": (
        "-laq -t: --no-pager --full --all --type: --state: --user --system --failed --no-legend --plain "
        "--quiet"
    ),
    "systemctl status": (
        "-laq -n: --no-pager --full --all --type: --state: --user --system --lines: --quiet"
    ),
    "tail": "-qvz -n: -c: --lines: --bytes: --quiet --verbose",
    "tar": "-tvzjJ -f: --list --verbose --gzip --bzip2 --xz --file:",
    "tr": "-dscCt --delete --squeeze-repeats --complement --truncate-set1",
    "tree": (
        "-adfilshpugDFCnStrJXN -L: -I: -P: --dirsfirst --du --prune --noreport --gitignore --filelimit: "
        "--matchdirs --ignore-case --si --sort? --charset:"
    ),
    "uname": "-asnrvmpio --all --kernel-name --kernel-release --machine --operating-system --nodename",
    "uniq": "-cdDiuz -f: -s: -w: --count --repeated --unique --ignore-case --skip-fields: --skip-chars:",
    "unzip": "-lv",
    "uptime": "-ps --pretty --since",
    "wc": "-lwcmL --lines --words --bytes --chars --max-line-length",
    "which": "-a --all",
    "whoami": "",
}
"""By name, with the subcommand where there are any. `-ab` are two options without a value; `-n:` and
`--lines:` take one, beside it or as the next word; `-M?` and `--color?` may have one beside it."""

MOST: Final[Mapping[str, int]] = {
    "cmp": 4, "diff": 2, "git branch": 0, "git tag": 0, "hostname": 0, "whoami": 0, "pwd": 0, "uniq": 1,
    "tr": 2, "free": 0, "uname": 0, "uptime": 0, "git status": 50, "date": 1, "unzip": 50, "tar": 50,
    "printf": 50, "jq": 50, "kubectl get": 50, "kubectl describe": 50,
}  # fmt: skip
"""How many operands leave it a read: the second of `uniq` is written to, a name for `git branch` makes one.
A program that is here takes no pattern of the shell: what it is replaced by would not be known."""

COUNTED: Final = frozenset(["head", "tail", "git log", "git show", "grep", "diff"])
"""Programs for which `-20` is a number."""

FIND_WORDS: Final = frozenset((
    "-H", "-L", "-P", "-a", "-and", "-o", "-or", "-not", "-print", "-print0", "-ls", "-empty", "-prune",
    "-xdev", "-mount", "-readable", "-writable", "-executable", "-true", "-false", "-depth", "-daystart",
    "-quit", "-nouser", "-nogroup",
))  # fmt: skip
"""Tests and actions of `find` without a value."""

FIND_TESTS: Final = frozenset((
    "-name", "-iname", "-path", "-ipath", "-wholename", "-type", "-xtype", "-maxdepth", "-mindepth",
    "-size", "-mtime", "-mmin", "-atime", "-amin", "-ctime", "-cmin", "-newer", "-newermt", "-user",
    "-group", "-perm", "-regex", "-iregex", "-regextype", "-links", "-inum", "-printf", "-lname",
    "-samefile",
))  # fmt: skip
"""Those that take the next word."""

PROCESSES: Final = frozenset((
    "aux", "ax", "auxf", "auxw", "auxww", "axf", "axu", "axjf", "-e", "-A", "-ef", "-eF", "-ely", "-f",
    "-aux",
))  # fmt: skip
"""The only words for `ps`: `e` among its letters shows environments, and which letters are options hangs on
the others."""

NAMES_ONLY: Final = frozenset((
    "ls", "echo", "find", "stat", "du", "file", "basename", "dirname", "realpath", "readlink", "tree",
    "which", "wc", "md5sum", "sha1sum", "sha256sum", "sha512sum",
))  # fmt: skip
"""Programs that show nothing of what stands in a file."""

PLAIN: Final = frozenset((
    "ls", "cat", "wc", "head", "stat", "du", "nl", "basename", "dirname", "cut", "grep", "echo", "md5sum",
    "sha1sum", "sha256sum", "sha512sum",
))  # fmt: skip
"""Programs none of whose options does anything but show: a file that is named like an option does no harm."""
