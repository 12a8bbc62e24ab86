"""What a proposer puts forward of a round's result."""

from dataclasses import replace

from flare_offchain.federation.round import Proposed, RoundResult
from flare_offchain.storage.cid import content_id


def proposed(found: RoundResult, **changes: object) -> Proposed:
    """Return a result as validators see it, with fields changed after its objects were named."""
    given = Proposed(
        content_id(found.model),
        found.model,
        content_id(found.report),
        found.report,
        found.accepted_bitmap,
        found.accepted_weight,
    )
    return replace(given, **changes)
