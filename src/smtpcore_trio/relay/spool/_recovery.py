"""What a start finds, and what becomes of a message that is not what was kept."""

import json
import sqlite3

from ._entry import Alert, SpoolError, SpoolFailed, id_of, number_of
from ._jobs import forget
from ._rows import COLUMNS, STATE_COLUMNS, plain
from ._store import Store
from ._system import make_file, sync_directory


def recover(store: Store) -> None:
    """Bring files and index together, as a crash may have left them. What was promised is kept.

    Raises:
        SpoolError: the disk does not let it.
    """
    try:
        _forget_refused(store)
        for name in store.system.names(store.incoming):
            store.system.unlink(store.incoming / name)
        _drop_strays(store)
        _miss_bodies(store)
    except (OSError, sqlite3.Error) as error:
        raise SpoolFailed(f"{store.path} cannot be recovered: {error}") from error


def _forget_refused(store: Store) -> None:
    if store.system.size(store.refused) is None:
        return
    file = store.system.open(store.refused)
    try:
        octets = store.system.read(file, 1 << 20)
    finally:
        store.system.close(file)
    store.execute("BEGIN IMMEDIATE")
    for line in octets.split():
        try:
            number = number_of(line.decode("ascii"))
        except ValueError:
            continue  # the file was not written to its end
        forget(store.execute, number)
    store.execute("COMMIT")
    store.system.unlink(store.refused)


def _drop_strays(store: Store) -> None:
    """Remove files that no row knows."""
    for directory in store.system.names(store.bodies):
        for name in store.system.names(store.bodies / directory):
            path = store.bodies / directory / name
            try:
                number = number_of(name)
            except ValueError:
                number = -1
            if store.read("SELECT 1 FROM messages WHERE id = ? AND content IS NULL", (number,)):
                continue
            if not store.fresh:
                store.system.unlink(path)
                continue
            # An index was here, and is gone: these may have been promised.
            store.system.rename(path, store.corrupt / name)
            sync_directory(store.system, store.corrupt)
            store.alerts.append(Alert(id=name, reason="there is no index", where=store.corrupt / name))


def _miss_bodies(store: Store) -> None:
    """Set messages aside whose file is not there, or not whole."""
    after = 0
    while rows := store.read(
        "SELECT id, octets FROM messages WHERE content IS NULL AND id > ? ORDER BY id LIMIT ?",
        (after, store.settings.page),
    ):
        for number, octets in rows:
            after = number
            found = store.system.size(store.body(number))
            if found != octets:
                reason = "its file is missing" if found is None else f"its file has {found} octets, not {octets}"
                if set_aside(store, number, reason):
                    store.execute("BEGIN IMMEDIATE")
                    forget(store.execute, number)
                    store.execute("COMMIT")


def set_aside(store: Store, number: int, reason: str) -> bool:
    """Move what there is of a message to ``corrupt/``, but for its row.

    Returns:
        Whether the row may go; else the alert says why not.
    """
    name = id_of(number)
    about, content = store.corrupt / f"{name}.json", store.corrupt / f"{name}.body"
    try:
        row = store.row(number)
        if row is None:
            return False
        recipients = [plain(each, STATE_COLUMNS) for each in store.states(number, number)]
        text = json.dumps({"reason": reason, **plain(row, COLUMNS), "recipients": recipients}, indent=1)
        make_file(store.system, about, text.encode("ascii"))
        body = store.body(number)
        if row[-1] is not None:
            make_file(store.system, content, bytes(row[-1]))
        elif store.system.size(body) is not None:
            store.system.rename(body, content)
        sync_directory(store.system, store.corrupt)
    except (OSError, SpoolError) as error:
        store.alerts.append(Alert(id=name, reason=f"{reason}; it cannot be set aside: {error}"))
        return False
    store.alerts.append(Alert(id=name, reason=reason, where=about))
    return True
