"""The SQLite file of a case: created whole or not at all, written by one process, every failure one clear line."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import CaseError
from ._filesystem import is_local
from ._schema import APPLICATION_ID, DDL, MIGRATIONS, SCHEMA_VERSION

__all__ = ["DATABASE", "Store", "explained", "sync_folder"]

DATABASE = "case.sqlite"
LOCK = "writer.lock"
_SMALL = 64 * 2**20  # bytes up to which the whole file is checked when it is opened: a fraction of a second

_FULL = ("the disk is full", "Free some space and try again: what was finished is kept.")
_DENIED = ("the folder cannot be written", "Choose another folder, or ask for the right to write there.")
_DAMAGED = ("the case is damaged", "Restore case.sqlite from a backup, or analyze the slide into another folder.")


@contextmanager
def explained(file: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what SQLite and the operating system raise into a CaseError that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        text = str(error)
        if "disk is full" in text:
            cause, remedy = _FULL
        elif "readonly" in text or "unable to open" in text:
            cause, remedy = _DENIED
        elif "not a database" in text:
            cause, remedy = "is not a Leukoscope case", "Choose the folder that an analysis wrote (<slide>.leuko)."
        elif "closed database" in text:
            cause, remedy = "the case was closed", "Open it again with open_case."
        elif "locked" in text:
            cause, remedy = "another program holds the case", "Close it there, or wait for it to finish."
        elif isinstance(error, sqlite3.DatabaseError) and ("malformed" in text or "no such" in text):
            cause, remedy = _DAMAGED
        elif "disk I/O error" in text:
            cause, remedy = "the disk failed to read or write", "Check the disk or the network share, then try again."
        else:
            raise
        raise CaseError(cause, remedy, file) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            cause, remedy = _FULL
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOENT):
            cause, remedy = _DENIED
        else:
            cause, remedy = f"cannot be written ({error.strerror})", _DENIED[1]
        raise CaseError(cause, remedy, file) from error


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder durable, where the system can (Windows needs and allows no such thing)."""
    if os.name != "nt":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class Store:
    """One connection to a case's file, for all threads of the process, and the right to write it.

    A lock (`threading.RLock`) is held for each statement or transaction, so any thread may call. Between processes
    there is one writer: it holds SQLite's exclusive lock on an empty second file, ``writer.lock``, which the operating
    system releases when the process dies, on every platform; the case itself stays free for readers.
    """

    def __init__(self, folder: Path, readonly: bool = False) -> None:
        self.folder = folder
        self.file = folder / DATABASE
        self.mutex = threading.RLock()
        if not self.file.is_file():
            what = "is not a Leukoscope case" if folder.exists() else "does not exist"
            raise CaseError(what, "Choose the folder that an analysis wrote (<slide>.leuko).", folder)
        self._lock = None if readonly else _take_lock(folder)
        self.readonly = self._lock is None
        handles: list[sqlite3.Connection] = [] if self._lock is None else [self._lock]
        self._close = weakref.finalize(self, _close_all, handles)
        try:
            with explained(self.file):
                self.db = _connect(self.file, "ro" if self.readonly else "rw")
                handles.insert(0, self.db)
                self._check()
                if not self.readonly:
                    _set_journal(self.db, folder)
                    self._migrate()
                self.db.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        try:
            application, version = self.value("PRAGMA application_id"), self.value("PRAGMA user_version")
        except sqlite3.OperationalError as error:
            # A folder that cannot be written, without a running writer: WAL's index cannot be made, but nothing is in
            # it either, so the file alone is the case.
            wal = self.file.with_name(f"{DATABASE}-wal")
            if not self.readonly or "unable to open" not in str(error) or (wal.exists() and wal.stat().st_size):
                raise
            self.db.close()
            self.db = _connect(self.file, "ro&immutable=1")
            application, version = self.value("PRAGMA application_id"), self.value("PRAGMA user_version")
        if application != APPLICATION_ID:
            raise CaseError(
                "is not a Leukoscope case", "Choose the folder that an analysis wrote (<slide>.leuko).", self.file
            )
        if version > SCHEMA_VERSION:
            raise CaseError(
                f"was written by a newer Leukoscope (case format {version}; this one reads up to {SCHEMA_VERSION})",
                "Update Leukoscope.",
                self.file,
            )
        if self.file.stat().st_size < _SMALL and self.value("PRAGMA quick_check(1)") != "ok":
            raise CaseError(*_DAMAGED, self.file)

    @property
    def version(self) -> int:
        """The version of the tables as they are: an old case that is open for reading only stays as it was."""
        with explained(self.file):
            return int(self.value("PRAGMA user_version"))

    def _migrate(self) -> None:
        """Bring the tables up to date, in one transaction: killed in between, the case is as it was."""
        version = self.version
        if version < SCHEMA_VERSION:
            steps = "".join(MIGRATIONS[number] for number in range(version, SCHEMA_VERSION))
            self.db.execute("PRAGMA foreign_keys = OFF")
            try:
                self.db.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise

    @classmethod
    def create(cls, folder: Path, rows: list[tuple[str, tuple[Any, ...]]]) -> None:
        """Make a case with these first rows, in a hidden folder beside its own that is renamed when it is complete."""
        part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
        with explained(folder):
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                what = "already holds a case" if (folder / DATABASE).exists() else "is in the way, and is not a case"
                raise CaseError(what, "Open it with open_case, or choose another folder.", folder)
            try:
                shutil.rmtree(part, ignore_errors=True)
                part.mkdir(parents=True)
                db = _connect(part / DATABASE, "rwc")
                try:
                    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    _set_journal(db, part)
                    db.executescript(f"BEGIN; {DDL} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
                    db.execute("BEGIN")
                    for statement, values in rows:
                        db.execute(statement, values)
                    db.execute("COMMIT")
                finally:
                    db.close()
                if folder.exists():
                    folder.rmdir()  # empty; Windows does not rename over it
                part.rename(folder)
                sync_folder(folder.parent)
            finally:
                shutil.rmtree(part, ignore_errors=True)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Hold the connection for one transaction: all of it is on disk when the block ends, or none of it."""
        if self.readonly:
            raise CaseError(
                "the case is open for reading only", "Close it in the other program, then open it again.", self.file
            )
        with self.mutex, explained(self.file):
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise

    def rows(self, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        with self.mutex, explained(self.file):
            return self.db.execute(statement, values).fetchall()

    def value(self, statement: str, values: tuple[Any, ...] = ()) -> Any:
        """Return the one value of a query, None without a row."""
        with self.mutex:
            row = self.db.execute(statement, values).fetchone()
        return None if row is None else row[0]

    def close(self) -> None:
        """Close the file and let another process write; safe to call twice."""
        with self.mutex:
            self._close()


def _close_all(handles: list[sqlite3.Connection]) -> None:
    for handle in handles:
        handle.close()


def _connect(file: Path, mode: str) -> sqlite3.Connection:
    uri = f"{file.resolve().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=15)


def _set_journal(db: sqlite3.Connection, folder: Path) -> None:
    local = is_local(folder)
    db.execute(f"PRAGMA journal_mode = {'WAL' if local else 'DELETE'}").fetchone()
    # With a rollback journal, EXTRA is what FULL is in WAL: the journal's removal, too, is on disk before COMMIT
    # returns.
    db.execute(f"PRAGMA synchronous = {'FULL' if local else 'EXTRA'}")
    db.execute("PRAGMA fullfsync = ON")  # macOS: fsync alone stops at the drive's cache
    db.execute("PRAGMA checkpoint_fullfsync = ON")


def _take_lock(folder: Path) -> sqlite3.Connection | None:
    """Return a connection that holds the writer's lock, None if another has it or the folder cannot be written."""
    # Asked first: SQLite opens a lock file that it cannot write for reading, and locks that for whoever wants it.
    if not all(os.access(place, os.W_OK) for place in (folder, folder / DATABASE, folder / LOCK) if place.exists()):
        return None
    try:
        lock = _connect(folder / LOCK, "rwc")
    except sqlite3.OperationalError:
        return None
    try:
        lock.execute("PRAGMA busy_timeout = 0")
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.DatabaseError:
        lock.close()
        return None
    return lock
