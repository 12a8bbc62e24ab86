"""Deploying Flare's contracts and using them through their wrappers, on any chain.

Subclass `DeploymentSuite` with the fixtures of `ConnectorSuite`.
"""

from __future__ import annotations

import dataclasses
import json

import pytest

from flare_offchain.blockchain.contracts import (
    EnrolmentView,
    OutcomeView,
    Participant,
    ParticipantRegistry,
    RoundCoordinator,
    TaskRules,
    TaskStatus,
)
from flare_offchain.blockchain.deployments import (
    TASK_ACTIONS,
    VIEWS,
    deploy_flare,
    open_deployment,
    read_deployment,
    verify_deployment,
    write_deployment,
)
from flare_offchain.consensus.chain_proof import prove_for_chain
from flare_offchain.consensus.identities import possession_alpha, proposal_digest, vote_commitment, vrf_alpha
from flare_offchain.consensus.keys import VrfKey
from flare_offchain.core.claims import unlist_claims
from flare_offchain.core.errors import ConfigurationError, TransactionReverted, WrongChain
from flare_offchain.core.history import HistoryFold
from flare_offchain.core.phases import Phase
from flare_offchain.core.types import ContentId

BOND = 10**18
DELAY = 7 * 86400
SPEC, GENESIS = ContentId(b"\1" * 32, 1000), ContentId(b"\2" * 32, 2000)
RULES = TaskRules(
    training_duration=600,
    seed_duration=120,
    sortition_duration=300,
    proposal_duration=300,
    validation_duration=300,
    reveal_duration=120,
    expected_committee=5,
    max_seats=8,
    threshold_basis_points=6000,
    max_attempts=3,
    min_updates=2,
    max_updates=16,
    sample_cap=512,
    idle_rounds=8,
    strike_limit=0,
    max_consecutive_voids=8,
    max_rounds=10,
    invite_only=False,
    round_reward=10**16,
    fine_amount=10**15,
    trainer_share=6000,
    proposer_share=1500,
    voter_share=2000,
    revealer_share=500,
)


class DeploymentSuite:
    """The shared tests."""

    @pytest.fixture
    def flare(self, chain, funded):
        return deploy_flare(chain, funded[0], minimum_bond=BOND, unbonding_delay=DELAY)

    def enrolled(self, chain, funded, flare, task):
        """Register and enrol the first two accounts; return their VRF keys."""
        keys = [VrfKey.derive(b"suite", bytes([index])) for index in range(2)]
        for account, key in zip(funded, keys, strict=False):
            alpha = possession_alpha(chain.chain_id, flare.registry.address, account.address)
            assert flare.registry.possession_alpha(account.address) == alpha
            flare.registry.register(account, key.public_x, prove_for_chain(key, alpha), bond=BOND).confirmed()
            flare.coordinator.enrol(account, task).confirmed()
        return keys

    def create(self, funded, flare, rules=RULES, budget=10**17):
        outcome = flare.coordinator.create_task(funded[0], rules, SPEC, GENESIS, budget=budget)
        return flare.coordinator.created_task(outcome)

    # ------------------------------------------------------------------ deployment

    def test_deploy__writes_records_that_verify_and_open(self, chain, funded, flare, tmp_path):
        assert [record.contract for record in flare.records][-4:] == [
            RoundCoordinator.NAME,
            ParticipantRegistry.NAME,
            VIEWS,
            TASK_ACTIONS,
        ]
        coordinator = flare.records[-4]
        assert coordinator.arguments == (str(BOND), str(DELAY))
        assert coordinator.chain_id == chain.chain_id
        assert coordinator.block <= chain.block_number
        assert flare.registry.minimum_bond() == BOND
        assert flare.registry.unbonding_delay() == DELAY
        assert flare.registry.coordinator() == flare.coordinator.address
        paths = write_deployment(tmp_path, flare.records)
        assert (tmp_path / str(chain.chain_id) / "RoundCoordinator.json") in paths
        assert read_deployment(tmp_path, chain.chain_id, "RoundCoordinator") == coordinator
        opened = open_deployment(chain, tmp_path)
        assert opened.coordinator.address == flare.coordinator.address
        assert opened.registry.address == flare.registry.address
        assert opened.records == flare.records

    def test_write__over_another_deployment__needs_consent(self, chain, funded, flare, tmp_path):
        write_deployment(tmp_path, flare.records)
        write_deployment(tmp_path, flare.records)
        other = deploy_flare(chain, funded[0], minimum_bond=BOND, unbonding_delay=DELAY)
        with pytest.raises(ConfigurationError, match="records another deployment"):
            write_deployment(tmp_path, other.records)
        assert open_deployment(chain, tmp_path).coordinator.address == flare.coordinator.address
        write_deployment(tmp_path, other.records, replace=True)
        assert open_deployment(chain, tmp_path).coordinator.address == other.coordinator.address

    def test_verify__other_code_or_chain_or_interface__is_the_wrong_chain(self, chain, funded, flare):
        coordinator, registry, _views, _actions = flare.records[-4:]
        for changed, words in (
            (dataclasses.replace(coordinator, chain_id=1), "another chain"),
            (dataclasses.replace(coordinator, address=funded[1].address), "no code"),
            (dataclasses.replace(coordinator, abi_hash="0x00"), "another interface"),
            (dataclasses.replace(coordinator, code_hash="0x00"), "not what was deployed"),
            (dataclasses.replace(coordinator, address=registry.address), "not what was deployed"),
            (
                dataclasses.replace(coordinator, address=registry.address, code_hash=registry.code_hash),
                "not what this release compiles to",
            ),
        ):
            with pytest.raises(WrongChain, match=words):
                verify_deployment(chain, changed)

    def test_open__records_of_two_deployments__are_refused(self, chain, funded, flare, tmp_path):
        other = deploy_flare(chain, funded[0], minimum_bond=BOND, unbonding_delay=DELAY)
        for foreign in (-3, -2, -1):
            records = list(flare.records)
            records[foreign] = other.records[foreign]
            write_deployment(tmp_path, records, replace=True)
            with pytest.raises(WrongChain, match="different deployments"):
                open_deployment(chain, tmp_path)

    def test_open__a_malformed_record__is_a_configuration_error(self, chain, flare, tmp_path):
        [path] = write_deployment(tmp_path, flare.records[-4:-3])
        for text in ("", "[]", "{}", json.dumps(json.loads(path.read_text()) | {"block": "1"})):
            path.write_text(text)
            with pytest.raises(ConfigurationError, match="not a deployment record"):
                open_deployment(chain, tmp_path)
        path.unlink()
        with pytest.raises(ConfigurationError, match="deploy first"):
            open_deployment(chain, tmp_path)

    # ------------------------------------------------------------------ wrappers

    def test_task__its_views_are_records(self, chain, funded, flare):
        task = self.create(funded, flare)
        assert (task, flare.coordinator.task_count()) == (1, 1)
        view = flare.coordinator.task(task)
        assert (view.owner, view.status, view.rules) == (funded[0].address, TaskStatus.Open, RULES)
        assert (view.spec, view.model, view.budget, view.round) == (SPEC, GENESIS, 10**17, 0)
        assert flare.coordinator.current_round(task).phase is Phase.None_
        assert flare.coordinator.longest_round(RULES) < DELAY
        flare.coordinator.check_task(RULES, SPEC, GENESIS, DELAY)
        flare.coordinator.fund_task(funded[1], task, 5).confirmed()
        assert flare.coordinator.task(task).budget == 10**17 + 5

    def test_task__a_rule_out_of_range__is_named(self, funded, flare):
        rules = dataclasses.replace(RULES, max_seats=65)
        outcome = flare.coordinator.create_task(funded[0], rules, SPEC, GENESIS)
        assert outcome.error == "RuleOutOfRange"
        assert "maxSeats" in outcome.message
        with pytest.raises(TransactionReverted, match="maxSeats"):
            flare.coordinator.check_task(rules, SPEC, GENESIS, DELAY)

    def test_registry__registers_with_a_proof_and_refuses_another_key(self, chain, funded, flare):
        key, other = VrfKey.derive(b"suite", b"a"), VrfKey.derive(b"suite", b"b")
        alpha = possession_alpha(chain.chain_id, flare.registry.address, funded[0].address)
        wrong = flare.registry.register(funded[0], other.public_x, prove_for_chain(key, alpha), bond=BOND)
        assert wrong.error == "PossessionNotProven"
        assert (
            flare.registry.register(funded[0], key.public_x, prove_for_chain(key, alpha), bond=1).error
            == "BondTooSmall"
        )
        flare.registry.register(funded[0], key.public_x, prove_for_chain(key, alpha), bond=BOND).confirmed()
        assert flare.registry.participant(funded[0].address) == Participant(key.public_x, BOND, 0, 1)
        assert flare.registry.participants() == 1
        assert flare.registry.active_key(funded[0].address) == key.public_x
        assert flare.registry.key_owner(key.public_x) == funded[0].address
        flare.registry.increase_bond(funded[0], 7).confirmed()
        assert flare.registry.participant(funded[0].address).bond == BOND + 7
        assert flare.registry.fine(funded[0], funded[0].address, 1).error == "NotCoordinator"
        assert flare.registry.burn_fines(funded[0]).error == "NothingToBurn"
        assert flare.registry.unburnt_fines() == 0
        assert flare.registry.withdraw_bond(funded[0]).error == "ExitNotRequested"
        flare.registry.request_exit(funded[0]).confirmed()
        assert flare.registry.withdraw_bond(funded[0]).error == "BondLocked"
        assert flare.registry.active_key(funded[0].address) == 0

    def test_round__from_opening_to_seats__folds_into_one_history(self, chain, funded, flare, pass_time):
        coordinator = flare.coordinator
        task = self.create(funded, flare)
        keys = self.enrolled(chain, funded, flare, task)
        coordinator.open_round(funded[2], task).confirmed()
        for index, account in enumerate(funded[:2]):
            update = ContentId(bytes([index + 1]) * 32, 500 + index)
            coordinator.submit_update(account, task, 1, update, 100).confirmed()
        assert coordinator.submit_update(funded[0], task, 1, SPEC, 1).error == "UpdateAlreadySubmitted"
        coordinator.close_training(funded[2], task).confirmed()
        for _ in range(3):
            pass_time(1)
        coordinator.fix_seed(funded[2], task).confirmed()
        view = coordinator.current_round(task)
        assert view.phase is Phase.Sortition
        assert view.alpha == vrf_alpha(chain.chain_id, coordinator.address, task, 1, view.seed)
        assert view.alpha == coordinator.vrf_alpha(task, 1, view.seed)
        numbers = [coordinator.enrolment(task, account.address).number for account in funded[:2]]
        assert numbers == [1, 2]
        claims = [(n, prove_for_chain(k, view.alpha)) for n, k in zip(numbers, keys, strict=True)]
        coordinator.claim_seat(funded[2], task, 1, *claims[0]).confirmed()
        coordinator.snapshot_keys(funded[2], 0).confirmed()
        snapshot, active = coordinator.key_segment(0)
        assert (active, len(chain.code(snapshot))) == (0b110, 1 + 32 * 96)
        coordinator.claim_seats(funded[2], task, 1, claims[1:], from_snapshot=True).confirmed()
        block = chain.head().number
        listed = coordinator.round_claims(task, coordinator.current_round(task), block)
        assert [claim.number for claim in unlist_claims(listed)] == numbers
        assert coordinator.close_sortition(funded[2], task, listed[::-1]).error == "ClaimsNotThese"
        coordinator.close_sortition(funded[2], task, listed).confirmed()
        view = coordinator.current_round(task)
        assert view.phase is Phase.Aggregation
        assert {seat.member for seat in view.seats} == {account.address for account in funded[:2]}
        history = HistoryFold().extend(coordinator.events(0, chain.block_number)).tasks[task]
        assert history.rules["maxSeats"] == RULES.max_seats
        folded = history.rounds[1]
        assert [(record.member, record.claim.output_prefix) for record in folded.committee] == [
            (seat.member, seat.output_prefix) for seat in view.seats
        ]
        assert [update.worker for update in folded.updates] == [account.address for account in funded[:2]]
        enrolment = coordinator.enrolment(task, funded[0].address)
        assert isinstance(enrolment, EnrolmentView)
        assert (enrolment.enrolled, enrolment.update_round, enrolment.update_weight) == (True, 1, 100)
        assert coordinator.outcome(task, 1) == OutcomeView(False, 0, 0)

    def test_identities__equal_the_contracts(self, chain, flare):
        coordinator = flare.coordinator
        digest = coordinator.proposal_digest(
            1, 2, 3, model=SPEC, report=GENESIS, bitmap_digest=b"\5" * 32, accepted_weight=9
        )
        assert digest == proposal_digest(chain.chain_id, coordinator.address, 1, 2, 3, SPEC, GENESIS, b"\5" * 32, 9)
        member = coordinator.address
        commitment = coordinator.vote_commitment(1, 2, 3, proposal=digest, member=member, inner=b"\6" * 32)
        assert commitment == vote_commitment(chain.chain_id, coordinator.address, 1, 2, 3, digest, member, b"\6" * 32)

    def test_refusals__are_the_contracts_own_words(self, funded, flare, pass_time):
        coordinator, someone = flare.coordinator, funded[2]
        task = self.create(funded, flare, dataclasses.replace(RULES, invite_only=True))
        for outcome, error in (
            (coordinator.enrol(someone, 99), "TaskUnknown"),
            (coordinator.invite(someone, task, [someone.address]), "NotTaskOwner"),
            (coordinator.leave(someone, task), "NotEnrolled"),
            (coordinator.remove_idle(someone, task, funded[0].address), "NotEnrolled"),
            (coordinator.open_round(someone, task), "TooFewEnrolled"),
            (coordinator.end_task(someone, task), "NotTaskOwner"),
            (coordinator.withdraw_rewards(someone, task), "NothingToWithdraw"),
            (coordinator.withdraw_remainder(someone, task), None),
        ):
            assert outcome.error == error or error is None
            assert outcome.receipt is None
        for refused in (
            coordinator.close_validation(someone, task),
            coordinator.advance(someone, task),
            coordinator.vote(someone, task, 1, 0, 0, commitment=b"\1" * 32),
            coordinator.reveal(someone, task, 1, 0, b"\1" * 32),
            coordinator.propose(
                someone,
                task,
                1,
                0,
                model=SPEC,
                report=SPEC,
                accepted_bitmap=b"\1",
                accepted_weight=1,
                commitment=b"\1" * 32,
            ),
        ):
            assert refused.receipt is None
            assert refused.error is not None, refused.message
        coordinator.invite(funded[0], task, [someone.address]).confirmed()
        assert coordinator.enrolment(task, someone.address).invited
        coordinator.end_task(funded[0], task).confirmed()
        assert coordinator.task(task).status is TaskStatus.Ended
