"""Runs in the copier's container: copies what the other services write, so that it is of one moment.

It has no network. What it is asked for is a file of the backup's volume, and so is the answer. Each
service's data is read by that service's own user.
"""

import fcntl
import os
import shutil
import sqlite3
import sys
import time

STATE = "@state@"
NODE = "@node@"


def as_user(uid, gid, work):
    """Runs work in a process of a user's. Raises what it said where it fails."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(gid)
                os.setuid(uid)
            work()
            code = 0
        except Exception as error:  # Told to the backup, which tells the operator.
            os.write(writer, f"{type(error).__name__}: {error}".encode()[:500])
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as said:
        words = said.read()
    _, status = os.waitpid(child, 0)
    if status != 0:
        raise RuntimeError(words.replace("\n", " ") or f"it ended with {status}")


def replace(made, path):
    """Gives what is complete and on the disk its name."""
    with open(made, "rb") as file:
        os.fsync(file.fileno())
    os.chmod(made, 0o600)
    os.replace(made, path)


def copy_database(source, target, whole):
    """Copies an SQLite database that others write to, as SQLite itself does it.

    whole: with its free pages. The broker's are a day's room on the disk, and are made again at a restore.
    """
    if not os.path.exists(source):
        return
    made = target + ".new"
    if os.path.exists(made):
        os.remove(made)
    database = sqlite3.connect(f"file:{source}?mode=rw", uri=True, timeout=60)
    try:
        if whole:
            copy = sqlite3.connect(made)
            database.backup(copy)
            copy.close()
        else:
            database.execute("VACUUM INTO ?", (made,))
    finally:
        database.close()
    replace(made, target)


def copy_file(source, target):
    if not os.path.exists(source):
        return
    shutil.copyfile(source, target + ".new")
    replace(target + ".new", target)


def copy_mosquitto():
    copy_database("@mosquitto@/@queue@", f"{STATE}/copies/mosquitto/@queue@", whole=False)


def copy_grafana():
    copy_database("@grafana@/grafana.db", f"{STATE}/copies/grafana/grafana.db", whole=True)
    copy_file("@grafana@/.secret-key", f"{STATE}/copies/grafana/.secret-key")


def is_database(path):
    with open(path, "rb") as file:
        return file.read(16) == b"SQLite format 3\0"


def copy_volume(source, target):
    """Copies all that a service of unknown make keeps: databases as SQLite does it, else file by file."""
    kept = set()
    for folder, _, files in os.walk(source):
        inside = os.path.normpath(os.path.join(target, os.path.relpath(folder, source)))
        os.makedirs(inside, exist_ok=True)
        for name in files:
            # What SQLite keeps beside a database belongs to the copy that it makes itself.
            if name.endswith(("-wal", "-shm", "-journal")):
                continue
            path, copied = f"{folder}/{name}", f"{inside}/{name}"
            try:
                if is_database(path):
                    copy_database(path, copied, whole=True)
                else:
                    copy_file(path, copied)
                kept.add(copied)
            except FileNotFoundError:
                pass  # It has gone meanwhile.
    for folder, _, files in os.walk(target, topdown=False):
        for name in files:
            if f"{folder}/{name}" not in kept:
                os.remove(f"{folder}/{name}")
        if folder != target and not os.listdir(folder):
            os.rmdir(folder)


def link(source, target):
    """A second name of a file: it stays when the first name goes, or gets another file."""
    try:
        if os.path.exists(target):
            if os.path.samefile(source, target):
                return
            os.remove(target)
        os.link(source, target)
    except FileNotFoundError:
        pass  # It has gone already.


def link_folder(source, target):
    """Second names of all that a folder holds now, and of nothing else. A # is in names of what is not whole."""
    os.makedirs(target, exist_ok=True)
    names = {entry.name for entry in os.scandir(source) if entry.is_file() and "#" not in entry.name} if os.path.isdir(source) else set()
    for name in sorted(names):
        link(f"{source}/{name}", f"{target}/{name}")
    for entry in list(os.scandir(target)):
        if entry.is_file() and entry.name not in names:
            os.remove(entry.path)


def copy_influxdb():
    """Second names of InfluxDB's files, none of which is ever changed, in an order in which each has what it names.

    First the snapshots: they name Parquet files, which stay where they are, and are read after this. Then the
    write-ahead log, of what is in no snapshot yet, and last the catalog, which names tables of both.
    Checkpoints and indices are made from these at a start.
    """
    node, links = f"@influxdb@/{NODE}", f"@links@/{NODE}"
    # Meanwhile nobody makes one of several snapshots.
    with open("@influxdb@/.snapshots-lock", "a", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        link_folder(f"{node}/snapshots", f"{links}/snapshots")
    link_folder(f"{node}/wal", f"{links}/wal")
    versions = sorted(os.listdir(f"{node}/catalog")) if os.path.isdir(f"{node}/catalog") else []
    for version in versions:
        link_folder(f"{node}/catalog/{version}/logs", f"{links}/catalog/{version}/logs")
        link_folder(f"{node}/catalog/{version}", f"{links}/catalog/{version}")
    link("@influxdb@/.admin-token", "@links@/.admin-token")


#: A message that the queue's copy lacks is in InfluxDB by then: the queue is copied first.
WORKS = {
    "mosquitto": (1883, 1883, copy_mosquitto),
    "grafana": (472, 0, copy_grafana),
#: each interfaces
    "interface": (0, 0, lambda: copy_volume("@volume@", f"{STATE}/copies/interface")),
#: end
    "influxdb": (1500, 1500, copy_influxdb),
}


def copy_all():
    """Answers ok, partly with what failed, or failed. Telemetry never waits for another service's damage."""
    failed = []
    for service, (uid, gid, work) in WORKS.items():
        try:
            as_user(uid, gid, work)
        except RuntimeError as error:
            failed.append(f"{service}'s data could not be copied: {error}")
            if service == "influxdb":
                return f"failed {failed[-1]}"
    return f"partly {'; '.join(failed)}" if failed else "ok"


def pass_rows():
    """Hands the backup's rows to InfluxDB's own container, which writes them."""
    names = [name for name in os.listdir(f"{STATE}/rows") if name.endswith(".lp")]
    for name in sorted(names):
        with open(f"{STATE}/rows/{name}", encoding="utf-8") as file:
            text = file.read()

        def write(text=text, name=name):
            os.makedirs("@rows@", exist_ok=True)
            with open(f"@rows@/{name}.new", "w", encoding="utf-8") as row:
                row.write(text)
            os.replace(f"@rows@/{name}.new", f"@rows@/{name}")

        as_user(1500, 1500, write)
        os.remove(f"{STATE}/rows/{name}")


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def main():
    os.makedirs(f"{STATE}/rows", exist_ok=True)
    for service in WORKS:
        if service == "influxdb":
            continue
        os.makedirs(f"{STATE}/copies/{service}", exist_ok=True)
        # Each service's user writes its own copy; nobody else has this volume.
        os.chmod(f"{STATE}/copies/{service}", 0o1777)
    done = read(f"{STATE}/copied").split(" ")[0]
    while True:
        asked = read(f"{STATE}/copy")
        if asked and asked != done:
            began = time.monotonic()
            answer = copy_all()
            print(f"copies of {asked}: {answer}, in {time.monotonic() - began:.1f} s", flush=True)
            with open(f"{STATE}/copied.new", "w", encoding="utf-8") as file:
                file.write(f"{asked} {answer}\n")
            os.replace(f"{STATE}/copied.new", f"{STATE}/copied")
            done = asked
        try:
            pass_rows()
        except (OSError, RuntimeError) as error:
            print(f"a row waits: {error}", file=sys.stderr, flush=True)
            time.sleep(10)
        with open("@alive@", "w", encoding="utf-8"):
            pass
        time.sleep(0.5)


main()
