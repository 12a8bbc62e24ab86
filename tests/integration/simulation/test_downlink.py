"""Workers that take the newest model by the updates that made it, in whole rounds on the embedded chain."""

import pytest

from flare_offchain.core.types import ContentId
from flare_offchain.federation.downlink import newest_model
from flare_offchain.federation.gather import TaskObjects
from flare_offchain.storage.local import LocalStorageProvider
from flare_offchain.utils.serialization import write_model
from flare_offchain.workers import trainer
from tests.factories.runs import KeptRun, run_scenario

pytestmark = pytest.mark.integration
RUN = {"workers": 5, "rounds": 3, "attackers": 1, "aggregation": "mutual_information", "model": "mlp"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run whose workers read whole models."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return run_scenario(folder, **RUN), folder


def test_a_late_worker_follows_every_finalized_round_to_the_recorded_models(whole, monkeypatch):
    kept = KeptRun.open(whole[1])
    try:
        finals = [r for _, r in sorted(kept.history.rounds.items()) if r.final_proposal is not None]
        assert len(finals) >= 2
        objects = TaskObjects(kept.store)
        objects.model(kept.history.genesis)
        models = {found.final_model for found in finals}
        read = kept.store.get

        def get(content_id: ContentId, **options):
            assert content_id not in models, "a whole model was read"
            return read(content_id, **options)

        monkeypatch.setattr(kept.store, "get", get)
        model = newest_model(kept.identity, kept.history, finals[-1].final_model, objects)
        monkeypatch.undo()
        assert write_model(model) == kept.store.get(finals[-1].final_model)
    finally:
        kept.close()


def test_rounds_of_workers_that_save_bytes_give_the_same_models(whole, tmp_path, monkeypatch):
    followed = []

    def from_genesis(identity, task, wanted, objects):
        # The workers of a simulation share one cache; each call here starts from the genesis model alone.
        own = TaskObjects(objects.store)
        own.model(task.genesis)
        model = newest_model(identity, task, wanted, own)
        followed.append(wanted != task.genesis)
        return model

    monkeypatch.setattr(LocalStorageProvider, "remote", True)
    monkeypatch.setattr(trainer, "newest_model", from_genesis)
    rounds = run_scenario(tmp_path / "run", **RUN)
    assert [one.model_cid for one in rounds] == [one.model_cid for one in whole[0]]
    assert any(followed)
