"""Runs git, the same way whatever the machine is set to: English messages, no hooks, no prompt, no signed commits."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from runkon.model.failures import StepFailure

_PLACES = (  # variables by which a hook or a wrapper around runkon would send git to another repository
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CEILING_DIRECTORIES", "GIT_COMMON_DIR", "GIT_DIR", "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_INTERNAL_SUPER_PREFIX", "GIT_NAMESPACE", "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE", "GIT_WORK_TREE",
)  # fmt: skip
_OWNERS = "RUNKON_OWNERS"  # git is no process of an attempt: nobody is to kill it half-way
_ALWAYS = (
    "git", "-c", f"core.hooksPath={os.devnull}", "-c", "commit.gpgSign=false", "-c", "core.quotePath=false",
    "-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "advice.detachedHead=false", "-c", "core.fsmonitor=false",
)  # fmt: skip
_LONGEST = 600  # characters of what git said in one message


class GitFailed(StepFailure):
    """A command of git failed; `said` is what it printed about it."""

    def __init__(self, what: str, said: str) -> None:
        self.said = said.strip()
        super().__init__("exception", f"`git {what}` failed: {self.said[:_LONGEST] or 'it said nothing'}")


class NoGit(StepFailure):
    """There is no program `git`."""

    def __init__(self) -> None:
        super().__init__("exception", "`git` can't be started: is it installed?")


class Git:
    """Git in one folder of a working tree. `keep` is a descriptor that its processes keep open as long as they live."""

    def __init__(self, folder: Path, keep: int | None = None) -> None:
        self.folder = folder
        self.keep = keep

    def run(
        self,
        *arguments: str,
        given: bytes | None = None,
        extra: Mapping[str, str] | None = None,
        fine: Sequence[int] = (),
    ) -> str:
        """What the command prints. Raises GitFailed unless it ends with 0 or one of `fine`, and NoGit."""
        return self.call(*arguments, given=given, extra=extra, fine=fine)[1]

    def call(
        self,
        *arguments: str,
        given: bytes | None = None,
        extra: Mapping[str, str] | None = None,
        fine: Sequence[int] = (),
    ) -> tuple[int, str]:
        """Exit code and output. Raises as `run` does."""
        environment = {name: value for name, value in os.environ.items() if name not in _PLACES and name != _OWNERS}
        environment |= {"LC_ALL": "C", "LANGUAGE": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
        try:
            done = subprocess.run(
                [*_ALWAYS, *arguments],
                cwd=self.folder,
                input=b"" if given is None else given,
                capture_output=True,
                env={**environment, **(extra or {})},
                start_new_session=True,  # ^C is for the run, which then ends by itself
                pass_fds=() if self.keep is None else (self.keep,),
                check=False,
            )
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            if not self.folder.is_dir():
                raise StepFailure("exception", f"the folder `{self.folder}` is not there") from error
            raise NoGit from error
        if done.returncode and done.returncode not in fine:
            raise GitFailed(arguments[0], done.stderr.decode("utf-8", "replace"))
        return done.returncode, done.stdout.decode("utf-8", "surrogateescape")

    def line(self, *arguments: str, extra: Mapping[str, str] | None = None) -> str:
        """The command's output without the end of its line."""
        return self.run(*arguments, extra=extra).rstrip("\n")

    def found(self, *arguments: str) -> str | None:
        """The same; None where git says by the exit code 1 that there is nothing."""
        code, text = self.call(*arguments, fine=(1,))
        return None if code else text.rstrip("\n")

    def resolve(self, name: str) -> str | None:
        """The object that a name means, None if it means none."""
        return self.found("rev-parse", "--quiet", "--verify", name)

    def holds(self, ancestor: str, commit: str) -> bool:
        """True if `commit` is `ancestor`, or follows it."""
        return self.call("merge-base", "--is-ancestor", ancestor, commit, fine=(1,))[0] == 0

    def files_between(self, before: str, after: str) -> list[tuple[str, str, str, str]]:
        """The files that two trees differ in: mode and object afterwards, object before, path."""
        words = self.run("diff-tree", "-r", "-z", "--no-renames", before, after).split("\0")
        found = []
        for place in range(0, len(words) - 1, 2):
            _, mode, old, new, _ = words[place].split(" ")
            found.append((mode, new, old, words[place + 1]))
        return found

    def commit_tree(self, tree: str, message: str, *parents: str) -> str:
        """A commit that no branch has."""
        sides = [word for parent in parents for word in ("-p", parent)]
        return self.run(
            "commit-tree",
            tree,
            *sides,
            "-F",
            "-",
            given=message.encode("utf-8", "surrogateescape"),
            extra=self.identity(),
        ).strip()

    def identity(self) -> dict[str, str]:
        """Who commits where nobody has told git: runkon."""
        found = {}
        for what, otherwise in (("name", "runkon"), ("email", "runkon@localhost")):
            if not self.found("config", f"user.{what}"):
                for role in ("AUTHOR", "COMMITTER"):
                    if not os.environ.get(f"GIT_{role}_{what.upper()}"):
                        found[f"GIT_{role}_{what.upper()}"] = otherwise
        return found


_HERE = Lock()  # for systems without file locks


@contextmanager
def alone(common: Path) -> Iterator[int | None]:
    """While this lasts no other thread or process of runkon changes the repository whose own folder is `common`. What
    is given is kept open by every git process: so a process that was killed holds the lock until its git has ended."""
    try:
        import fcntl  # late: not on every system
    except ImportError:
        with _HERE:
            yield None
        return
    descriptor = os.open(common / "runkon.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
