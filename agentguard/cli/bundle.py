"""`agentguard bundle`: policies signed as one file with a version that only goes up."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Annotated

import typer

from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import ago, fail, print_json, say
from agentguard.cli.workspace import ConfigOption, JsonOption, configuration

__all__ = ["app"]

app = typer.Typer(help="Signed bundles of policies.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def keygen(
    key: Annotated[Path, typer.Argument(metavar="KEY.jwk", help="Where the private key goes.")],
    public: Annotated[Path, typer.Argument(metavar="PUBLIC.jwk", help="Where the public key goes.")],
) -> None:
    """Make a key pair: the private key signs bundles, guards trust the public one.

    Keep the private key where no agent runs: whoever reads it decides what agents may do.

    \b
    Examples:
      agentguard bundle keygen bundle.jwk trusted.jwk
    """
    from agentguard.stepup.enrolment import write_private
    from agentguard.stepup.signing import generate_key

    pair = generate_key()
    if public.exists():
        fail(f"`{public}` exists; a key is never written over another file")
    write_private(key, pair.private)
    write_private(public, pair.public)
    say(f"Made key {pair.public['kid']}.", "green")
    say(f"  private key  {key}  (signs; keep it where no agent can read it)")
    say(f"  public key   {public}  (guards trust it)")


@app.command()
def build(
    policies: Annotated[list[Path], typer.Argument(metavar="POLICIES...", help="Policy files and folders.")],
    key: Annotated[Path, typer.Option("--key", metavar="KEY.jwk", help="The private key that signs.")],
    version: Annotated[
        int, typer.Option("--version", metavar="N", min=1, help="Higher than that of any bundle before.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The bundle.")],
) -> None:
    """Sign policies as one file; what `agentguard check` would refuse is not signed.

    \b
    Examples:
      agentguard bundle build policies/ --key bundle.jwk --version 7 --out policies.bundle
    """
    from agentguard.policy import Snapshot
    from agentguard.policy.bundle import Bundle
    from agentguard.policy.files import read_files
    from agentguard.stepup.enrolment import load_private_key

    Snapshot.load(policies)  # every finding, with its place
    found = read_files(policies)
    files = {Path(source.file).as_posix(): source.text for source in found.sources}
    content = Bundle.seal(files, version=version, at=dt.datetime.now(dt.UTC), private=load_private_key(key))
    beside = out.with_name(f".{out.name}.new")
    try:
        beside.write_bytes(content)
        os.replace(beside, out)
    finally:
        beside.unlink(missing_ok=True)
    say(f"Signed {len(files)} file{'s' if len(files) != 1 else ''} as version {version}: {out}", "green")


@app.command()
def show(
    bundle: Annotated[str, typer.Argument(metavar="FILE|URL", help="The bundle; a URL is fetched.")],
    trust: Annotated[
        Path, typer.Option("--trust", metavar="PUBLIC.jwk", help="Whose signature counts: a JWK or JWK set.")
    ],
    json_: JsonOption = False,
) -> None:
    """Verify a bundle and say what is in it.

    \b
    Examples:
      agentguard bundle show policies.bundle --trust trusted.jwk
      agentguard bundle show https://policies.example.com/agents.bundle --trust trusted.jwk

    Exit codes: 0 signed with a trusted key and valid, 2 not.
    """
    from agentguard.outbound import is_url
    from agentguard.policy.bundle import Bundle, trusted_keys

    if is_url(bundle):
        from agentguard.fetching import RemoteBundle

        opened = RemoteBundle(bundle, trust=trust).opened()
    else:
        opened = Bundle.open(bundle, trusted_keys(trust))
    rules = len(opened.snapshot().rules)
    if json_:
        print_json(
            {
                "version": opened.version,
                "created": opened.created.isoformat(),
                "signer": opened.signer,
                "digest": opened.digest,
                "files": sorted(opened.files),
                "rules": rules,
            }
        )
        return
    say(f"Version {opened.version}, signed with {opened.signer}.", "green")
    say(f"  created  {opened.created.isoformat(timespec='seconds')}")
    say(f"  digest   {opened.digest}")
    for number, name in enumerate(sorted(opened.files)):
        say(f"  {'files' if not number else '     '}    {visible(name)}")
    say(f"  rules    {rules}")


@app.command()
def status(
    ctx: typer.Context,
    config: ConfigOption = None,
    max_age: Annotated[
        str | None,
        typer.Option("--max-age", metavar="TIME", help="Exit 1 when its server last answered before that."),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Say which fetched bundle guards run here, and when its server last answered.

    Read from the copy that they keep beside the store: nothing is fetched. A server that keeps answering with
    the same bundle looks like one where nothing changes; `created` says how old that is.

    \b
    Examples:
      agentguard bundle status
      agentguard bundle status --max-age 1h      # for a monitor

    Exit codes: 0 known, 1 too old or nothing kept yet, 2 usage, or a copy that is not signed.
    """
    from agentguard.bundled import BundleEntry, kept_beside
    from agentguard.kept import KeptBundle
    from agentguard.policy.bundle import LARGEST, Bundle, trusted_keys

    limit = None if max_age is None else _seconds(max_age)
    found = configuration(ctx, config)
    if not isinstance(found.bundle, BundleEntry) or found.trust is None:
        fail("the configuration names no bundle with an https URL")
    place = kept_beside(found.store)
    if place is None:
        fail(f"the store `{found.store}` is no file, so that nothing is kept beside it")
    kept = KeptBundle(place)
    content, confirmed = kept.read(LARGEST), kept.confirmed_at()
    if content is None or confirmed is None:
        fail(f"nothing was fetched yet: there is no `{place}`", code=1)
    opened = Bundle.verify(content, trusted_keys(found.trust), name=str(place))
    now = dt.datetime.now(dt.UTC)
    age = max((now - confirmed).total_seconds(), 0)
    stale = limit is not None and age > limit
    if json_:
        print_json(
            {
                "url": found.bundle.url,
                "version": opened.version,
                "created": opened.created.isoformat(),
                "signer": opened.signer,
                "confirmed": confirmed.isoformat(),
                "age_s": int(age),
                "stale": stale,
            }
        )
    else:
        say(f"Version {opened.version} of {found.bundle.url}", "yellow" if stale else "green")
        say(f"  created    {opened.created.isoformat(timespec='seconds')}")
        say(f"  confirmed  {confirmed.isoformat(timespec='seconds')} ({ago(confirmed, now)})")
    raise typer.Exit(1 if stale else 0)


def _seconds(text: str) -> int:
    from pydantic_core import PydanticCustomError

    from agentguard.policy.scalars import duration

    try:
        return duration(text)
    except PydanticCustomError as error:
        fail(f"`--max-age`: {error.message()}")
