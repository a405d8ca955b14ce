"""What a cutover finds around it: disks, the services' environment, and who has the files open."""

import os

from cdc.cutover import envfile, hooks
from cdc.cutover.openers import openers
from cdc.cutover.sight import Found, Sight
from cdc.postgres.room import room
from cdc.sqlite import surroundings


def disk(sight: Sight) -> Found:
    least = sight.config.replication.min_free_disk_mb
    for source in sight.config.sources:
        free = surroundings.free_mb(source.path)
        yield free >= least, f"{source.name}: {free:,} MB free"
    with sight.target.lease() as conn:
        there = room(conn)
    words = f"PostgreSQL: the database has {there.database_mb:,} MB"
    if there.free_mb is None:
        yield True, f"{words}; its disk cannot be seen: {there.why}"
    else:
        yield there.free_mb >= least, f"{words}, and its disk {there.free_mb:,} MB free"


def environment(sight: Sight) -> Found:
    config = sight.config
    if config.env_file is not None:
        envfile.check(config.env_file)
        yield True, f"{config.env_file} can be changed"
    for hook in config.hooks:
        program = hooks.runnable(config, hook)
        yield program is not None, f"{hook.on}: {program or hook.command[0] + ' is no program'}"
    if config.env_file is None and not config.hooks:
        yield True, "no environment file and no hooks: the services are yours to switch"


def open_files(sight: Sight) -> Found:
    found = openers(source.path for source in sight.config.sources)
    daemons = {each.holder.pid for each in sight.lags if each.holder}
    for opener in found:
        if opener.pid not in daemons:
            yield True, str(opener)
    if os.geteuid() != 0:
        yield True, "processes of other users are not seen"
    yield True, f"{len(found)} processes have files open at this moment, the daemon's included"
