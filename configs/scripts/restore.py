"""Gives what backup-restore.sh has fetched its place: each volume has nothing of it, or all of it.

What was there before is set aside in its volume.
"""

import os
import shutil
import sqlite3
import sys
import time

NODE = "@node@"
OTHER = "@other@"
ASIDE = ".set-aside/before-restore-" + time.strftime("%Y-%m-%dT%H.%M.%SZ", time.gmtime())
KEPT = {".restoring", ".set-aside", "lost+found"}


def check(path):
    """A copy that was damaged on its way must not become the site's."""
    if not os.path.exists(path):
        return
    database = sqlite3.connect(path)
    (found,) = database.execute("PRAGMA integrity_check").fetchone()
    database.close()
    if found != "ok":
        sys.exit(f"{os.path.basename(path)} of the backup is damaged: {found}; take another backup by --at")


def reserve(path):
    """Makes the room for a day of messages that the broker's database has, and its copy has not."""
    if not os.path.exists(path):
        return
    database = sqlite3.connect(path, isolation_level=None)
    (size,) = database.execute("PRAGMA page_size").fetchone()
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    missing = @reserveBytes@ - pages * size
    database.execute("PRAGMA journal_mode = OFF")
    database.execute("PRAGMA synchronous = OFF")
    if missing > 0:
        database.execute("CREATE TABLE room (filling)")
        part = 64 * 2**20
        while missing > 0:
            database.execute("INSERT INTO room VALUES (zeroblob(?))", (min(part, missing),))
            missing -= part
        database.execute("DROP TABLE room")
    database.execute("PRAGMA journal_mode = DELETE")
    database.close()


def assemble(data):
    """Puts the second names of InfluxDB's files, which the copier made, where it looks for them."""
    links = f"{data}/@linksFolder@"
    os.makedirs(f"{data}/{NODE}", exist_ok=True)
    for name in os.listdir(f"{links}/{NODE}") if os.path.isdir(f"{links}/{NODE}") else []:
        shutil.rmtree(f"{data}/{NODE}/{name}", ignore_errors=True)
        os.rename(f"{links}/{NODE}/{name}", f"{data}/{NODE}/{name}")
    if os.path.exists(f"{links}/.admin-token"):
        os.replace(f"{links}/.admin-token", f"{data}/.admin-token")
    shutil.rmtree(links, ignore_errors=True)
    if not os.path.isdir(f"{data}/{NODE}/catalog"):
        sys.exit(f"the backup has no catalog of the database {NODE}")
    # A site of another name finds them under that: the files name each other with the first one.
    if OTHER != NODE and not os.path.lexists(f"{data}/{OTHER}"):
        os.symlink(NODE, f"{data}/{OTHER}")


def own(path, uid, gid):
    """Only root may give files away; a test that is not root has them already."""
    if os.getuid() == 0:
        os.chown(path, uid, gid, follow_symlinks=False)


def place(volume, uid, gid, mode):
    restoring = f"{volume}/.restoring"
    if not os.path.exists(f"{restoring}/placed"):
        for name in set(os.listdir(volume)) - KEPT:
            os.makedirs(f"{volume}/{ASIDE}", exist_ok=True)
            os.rename(f"{volume}/{name}", f"{volume}/{ASIDE}/{name}")
        for folder, folders, files in os.walk(restoring):
            for name in folders + files:
                own(f"{folder}/{name}", uid, gid)
        if os.path.isdir(f"{volume}/.set-aside"):
            own(f"{volume}/.set-aside", uid, gid)
        own(volume, uid, gid)
        os.chmod(volume, mode)
        os.sync()
        with open(f"{restoring}/placed", "w", encoding="utf-8"):
            pass
    data = f"{restoring}/data"
    for name in os.listdir(data) if os.path.isdir(data) else []:
        os.rename(f"{data}/{name}", f"{volume}/{name}")
    os.sync()


def main():
    if not os.path.exists("@influxdb@/.restoring/placed"):
        assemble("@influxdb@/.restoring/data")
    check("@grafana@/.restoring/data/grafana.db")
    queue = "@mosquitto@/.restoring/data/@queue@"
    check(queue)
    reserve(queue)
    place("@grafana@", 472, 0, 0o777)
    place("@mosquitto@", 1883, 1883, 0o755)
    place("@influxdb@", 1500, 1500, 0o755)
    volumes = ["@grafana@", "@mosquitto@", "@influxdb@"]
#: each interfaces
    place("@volume@", 0, 0, 0o755)
    volumes.append("@volume@")
#: end
    for volume in volumes:
        shutil.rmtree(f"{volume}/.restoring")
    os.sync()
    print("every volume has its data")


main()
