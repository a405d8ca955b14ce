"""Which names are not in PostgreSQL what they are in SQLite, although nobody asked for that."""

from collections.abc import Iterator, Sequence

from cdc.mapping.wishes import NO_WISH, Wishes
from cdc.plan.plan import SourcePlan, TablePlan
from cdc.postgres.identifiers import why_changed
from cdc.postgres.script import index_names


def changed_names(plan: TablePlan, wishes: Wishes, chosen: str | None) -> Iterator[str]:
    """A sentence for the table and each column; `chosen` is what the configuration calls it."""
    mapped = plan.mapped
    why = None if chosen else why_changed(plan.name, mapped.name, mapped.fold)
    if why is not None:
        yield f"The table is called {mapped.name} there: {why}."
    for target in mapped.columns:
        name = mapped.source.columns[target.source].name
        why = why_changed(name, target.name, mapped.fold)
        if why is not None and wishes.get(name, NO_WISH).name is None:
            yield f"Column {name} is called {target.name} there: {why}."


def note_index_names(sources: Sequence[SourcePlan]) -> None:
    """Add a note to each table that has an index whose name another relation has already."""
    plans = {id(table.design): table for source in sources for table in source.tables}
    for design, index, name in index_names([table.design for table in plans.values()]):
        if name != index.name:
            plans[id(design)].notes.append(
                f"Index {index.source} is called {name} there: another relation of the schema is"
                f" called {index.name}."
            )
