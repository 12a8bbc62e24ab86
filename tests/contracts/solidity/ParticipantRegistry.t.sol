// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IActiveKeys} from "../../../contracts/interfaces/IActiveKeys.sol";
import {
    IParticipantRegistry,
    IParticipantRegistryErrors,
    IParticipantRegistryEvents
} from "../../../contracts/interfaces/IParticipantRegistry.sol";
import {RoundFixture} from "./support/RoundFixture.sol";
import {VrfProver} from "./support/VrfProver.sol";

/// Refuses ether.
contract Miser {
    function register(IParticipantRegistry registry, uint256 key, bytes calldata proof) external payable {
        registry.register{value: msg.value}(key, proof);
    }

    function requestExit(IParticipantRegistry registry) external {
        registry.requestExit();
    }

    function withdrawBond(IParticipantRegistry registry) external {
        registry.withdrawBond();
    }
}

/// Calls back when paid.
contract Reentrant {
    IParticipantRegistry private immutable _registry;
    uint256 public failures;

    constructor(IParticipantRegistry registry) {
        _registry = registry;
    }

    function register(uint256 key, bytes calldata proof) external payable {
        _registry.register{value: msg.value}(key, proof);
    }

    function requestExit() external {
        _registry.requestExit();
    }

    function withdrawBond() external {
        _registry.withdrawBond();
    }

    receive() external payable {
        try _registry.withdrawBond() {}
        catch {
            ++failures;
        }
    }
}

abstract contract RegistryTest is RoundFixture {
    address internal account = address(0xACC0);
    uint256 internal secret;
    uint256 internal key;

    function setUp() public virtual override {
        super.setUp();
        vm.deal(account, 100 ether);
        (secret, key) = VrfProver.keyOf(77);
    }

    function possession(address who) internal returns (bytes memory) {
        return VrfProver.prove(secret, registry.possessionAlpha(who));
    }

    function registerAccount() internal {
        bytes memory proof = possession(account);
        vm.prank(account);
        registry.register{value: BOND}(key, proof);
    }

    function exitAccount() internal {
        vm.prank(account);
        registry.requestExit();
    }
}

contract RegisterTest is RegistryTest {
    function test_register_activatesKey() public {
        bytes memory proof = possession(account);
        vm.expectEmit(true, true, true, true, address(registry));
        emit IParticipantRegistryEvents.ParticipantRegistered(account, key, BOND + 1, 1);
        vm.prank(account);
        registry.register{value: BOND + 1}(key, proof);
        vm.assertEq(registry.activeKey(account), key);
        vm.assertEq(registry.keyOwner(key), account);
        IParticipantRegistry.Participant memory shown = registry.participant(account);
        vm.assertEq(shown.vrfKey, key);
        vm.assertEq(shown.bond, BOND + 1);
        vm.assertEq(shown.withdrawableAt, 0);
        vm.assertEq(shown.number, 1);
        vm.assertEq(registry.participants(), 1);
    }

    function test_register_reverts_whenBondTooSmall() public {
        bytes memory proof = possession(account);
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistryErrors.BondTooSmall.selector, BOND - 1, BOND));
        vm.prank(account);
        registry.register{value: BOND - 1}(key, proof);
    }

    function test_register_reverts_whenRegistered() public {
        registerAccount();
        bytes memory proof = possession(account);
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistryErrors.AlreadyRegistered.selector, account));
        vm.prank(account);
        registry.register{value: BOND}(key, proof);
    }

    function test_register_reverts_whenKeyTaken() public {
        registerAccount();
        bytes memory proof = possession(stranger);
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistryErrors.KeyTaken.selector, key));
        vm.prank(stranger);
        registry.register{value: BOND}(key, proof);
    }

    function test_register_reverts_whenProofIsAnotherAccounts() public {
        bytes memory proof = possession(stranger);
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistryErrors.PossessionNotProven.selector, account, key));
        vm.prank(account);
        registry.register{value: BOND}(key, proof);
    }

    function test_register_reverts_whenProofIsAnotherChains() public {
        bytes memory proof = possession(account);
        vm.chainId(5);
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistryErrors.PossessionNotProven.selector, account, key));
        vm.prank(account);
        registry.register{value: BOND}(key, proof);
    }

    function test_register_reverts_whenKeyIsOffTheCurve() public {
        bytes memory proof = possession(account);
        // 5**3 + 7 = 132 is no square modulo p.
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistryErrors.PossessionNotProven.selector, account, 5));
        vm.prank(account);
        registry.register{value: BOND}(5, proof);
    }

    function test_register_reverts_whenKeyIsZero() public {
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistryErrors.PossessionNotProven.selector, account, 0));
        vm.prank(account);
        registry.register{value: BOND}(0, "");
    }

    function test_register_reverts_afterWithdrawal_evenWithNewKey() public {
        registerAccount();
        exitAccount();
        vm.warp(block.timestamp + UNBONDING);
        vm.prank(account);
        registry.withdrawBond();
        (secret, key) = VrfProver.keyOf(78);
        bytes memory proof = possession(account);
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistryErrors.AlreadyRegistered.selector, account));
        vm.prank(account);
        registry.register{value: BOND}(key, proof);
    }

    function test_register_reverts_whenKeyIsRetired() public {
        registerAccount();
        exitAccount();
        vm.warp(block.timestamp + UNBONDING);
        vm.prank(account);
        registry.withdrawBond();
        vm.assertEq(registry.keyOwner(key), account);
        bytes memory proof = possession(stranger);
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistryErrors.KeyTaken.selector, key));
        vm.prank(stranger);
        registry.register{value: BOND}(key, proof);
    }
}

contract IncreaseBondTest is RegistryTest {
    function test_increaseBond_adds() public {
        registerAccount();
        vm.expectEmit(true, true, true, true, address(registry));
        emit IParticipantRegistryEvents.BondIncreased(account, 2 ether, BOND + 2 ether);
        vm.prank(account);
        registry.increaseBond{value: 2 ether}();
        vm.assertEq(bondOf(account), BOND + 2 ether);
    }

    function test_increaseBond_reverts_whenNotRegistered() public {
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistryErrors.NotRegistered.selector, account));
        vm.prank(account);
        registry.increaseBond{value: 1}();
    }

    function test_increaseBond_reverts_afterExitRequest() public {
        registerAccount();
        exitAccount();
        vm.expectRevert(
            abi.encodeWithSelector(
                IParticipantRegistryErrors.ExitAlreadyRequested.selector, account, uint64(block.timestamp) + UNBONDING
            )
        );
        vm.prank(account);
        registry.increaseBond{value: 1}();
    }

    function test_increaseBond_reactivatesKey_afterFine() public {
        registerAccount();
        vm.prank(address(coordinator));
        registry.fine(account, 1);
        vm.assertEq(registry.activeKey(account), 0);
        vm.prank(account);
        registry.increaseBond{value: 1}();
        vm.assertEq(registry.activeKey(account), key);
        taskId = createTask(defaultRules());
        enrol(account);
    }

    function test_increaseBond_leavesKeyInactive_whileBelowMinimum() public {
        registerAccount();
        vm.prank(address(coordinator));
        registry.fine(account, 2);
        vm.prank(account);
        registry.increaseBond{value: 1}();
        vm.assertEq(registry.activeKey(account), 0);
        taskId = createTask(defaultRules());
        vm.expectRevert(abi.encodeWithSelector(NotActiveParticipant.selector, account));
        enrol(account);
    }
}

contract RequestExitTest is RegistryTest {
    function test_requestExit_startsDelay() public {
        registerAccount();
        uint64 at = uint64(block.timestamp) + UNBONDING;
        vm.expectEmit(true, true, true, true, address(registry));
        emit IParticipantRegistryEvents.ExitRequested(account, at);
        exitAccount();
        vm.assertEq(registry.participant(account).withdrawableAt, at);
        vm.assertEq(registry.activeKey(account), 0);
    }

    function test_requestExit_reverts_whenNotRegistered() public {
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistryErrors.NotRegistered.selector, account));
        exitAccount();
    }

    function test_requestExit_reverts_whenRequested() public {
        registerAccount();
        exitAccount();
        vm.expectRevert(
            abi.encodeWithSelector(
                IParticipantRegistryErrors.ExitAlreadyRequested.selector, account, uint64(block.timestamp) + UNBONDING
            )
        );
        exitAccount();
    }

    function test_requestExit_preventsEnrolment() public {
        registerAccount();
        taskId = createTask(defaultRules());
        exitAccount();
        vm.expectRevert(abi.encodeWithSelector(NotActiveParticipant.selector, account));
        enrol(account);
    }
}

contract WithdrawBondTest is RegistryTest {
    function test_withdrawBond_pays_afterDelay() public {
        registerAccount();
        exitAccount();
        vm.warp(block.timestamp + UNBONDING);
        uint256 before = account.balance;
        vm.expectEmit(true, true, true, true, address(registry));
        emit IParticipantRegistryEvents.BondWithdrawn(account, BOND);
        vm.prank(account);
        registry.withdrawBond();
        vm.assertEq(account.balance, before + BOND);
        vm.assertEq(registry.participant(account).vrfKey, 0);
        vm.assertEq(address(registry).balance, 0);
    }

    function test_withdrawBond_reverts_oneSecondEarly() public {
        registerAccount();
        exitAccount();
        uint64 at = uint64(block.timestamp) + UNBONDING;
        vm.warp(at - 1);
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistryErrors.BondLocked.selector, account, at));
        vm.prank(account);
        registry.withdrawBond();
    }

    function test_withdrawBond_reverts_whenNotRequested() public {
        registerAccount();
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistryErrors.ExitNotRequested.selector, account));
        vm.prank(account);
        registry.withdrawBond();
    }

    function test_withdrawBond_reverts_whenWithdrawn() public {
        registerAccount();
        exitAccount();
        vm.warp(block.timestamp + UNBONDING);
        vm.prank(account);
        registry.withdrawBond();
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistryErrors.NotRegistered.selector, account));
        vm.prank(account);
        registry.withdrawBond();
    }

    function test_withdrawBond_reverts_whenReceiverRefuses() public {
        Miser miser = new Miser();
        miser.register{value: BOND}(registry, key, possession(address(miser)));
        miser.requestExit(registry);
        vm.warp(block.timestamp + UNBONDING);
        vm.expectRevert(
            abi.encodeWithSelector(IParticipantRegistryErrors.TransferFailed.selector, address(miser), BOND)
        );
        miser.withdrawBond(registry);
    }

    function test_withdrawBond_paysOnce_whenReentered() public {
        registerAccount();
        (secret, key) = VrfProver.keyOf(79);
        Reentrant attacker = new Reentrant(registry);
        attacker.register{value: BOND}(key, possession(address(attacker)));
        attacker.requestExit();
        vm.warp(block.timestamp + UNBONDING);
        attacker.withdrawBond();
        vm.assertEq(attacker.failures(), 1);
        vm.assertEq(address(attacker).balance, BOND);
        vm.assertEq(address(registry).balance, BOND);
    }
}

contract FineTest is RegistryTest {
    function fine(uint256 amount) internal returns (uint256) {
        vm.prank(address(coordinator));
        return registry.fine(account, amount);
    }

    function test_fine_takesAmount() public {
        registerAccount();
        vm.expectEmit(true, true, true, true, address(registry));
        emit IParticipantRegistryEvents.BondFined(account, 0.25 ether, BOND - 0.25 ether);
        vm.assertEq(fine(0.25 ether), 0.25 ether);
        vm.assertEq(bondOf(account), BOND - 0.25 ether);
        vm.assertEq(registry.unburntFines(), 0.25 ether);
    }

    function test_fine_takesWhatIsLeft() public {
        registerAccount();
        vm.assertEq(fine(BOND + 1), BOND);
        vm.assertEq(fine(1), 0);
        vm.assertEq(bondOf(account), 0);
    }

    function test_fine_takesNothing_fromStrangers() public {
        vm.assertEq(fine(1 ether), 0);
    }

    function test_fine_reachesBond_afterExitRequest() public {
        registerAccount();
        exitAccount();
        vm.assertEq(fine(0.5 ether), 0.5 ether);
        vm.warp(block.timestamp + UNBONDING);
        uint256 before = account.balance;
        vm.prank(account);
        registry.withdrawBond();
        vm.assertEq(account.balance, before + 0.5 ether);
    }

    function test_fine_keepsKeyActive_downToMinimum() public {
        registerAccount();
        vm.prank(account);
        registry.increaseBond{value: 1 ether}();
        fine(1 ether);
        vm.assertEq(registry.activeKey(account), key);
        fine(1);
        vm.assertEq(registry.activeKey(account), 0);
    }

    function test_fine_reverts_whenCallerIsNotCoordinator() public {
        registerAccount();
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistryErrors.NotCoordinator.selector, owner));
        vm.prank(owner);
        registry.fine(account, 1);
    }
}

contract BurnFinesTest is RegistryTest {
    address private constant BURN_ADDRESS = 0x000000000000000000000000000000000000dEaD;

    function test_burnFines_sendsAll() public {
        registerAccount();
        vm.prank(address(coordinator));
        registry.fine(account, 0.25 ether);
        vm.expectEmit(true, true, true, true, address(registry));
        emit IParticipantRegistryEvents.FinesBurnt(0.25 ether);
        vm.prank(stranger);
        registry.burnFines();
        vm.assertEq(BURN_ADDRESS.balance, 0.25 ether);
        vm.assertEq(registry.unburntFines(), 0);
        vm.assertEq(address(registry).balance, BOND - 0.25 ether);
    }

    function test_burnFines_reverts_whenNone() public {
        vm.expectRevert(IParticipantRegistryErrors.NothingToBurn.selector);
        registry.burnFines();
    }
}

contract RegistryViewsTest is RegistryTest {
    function test_constants_areTheConstructors() public view {
        vm.assertEq(registry.minimumBond(), BOND);
        vm.assertEq(registry.unbondingDelay(), UNBONDING);
        vm.assertEq(registry.coordinator(), address(coordinator));
    }

    function test_possessionAlpha_bindsChainRegistryAndAccount() public view {
        vm.assertEq(
            registry.possessionAlpha(account),
            keccak256(abi.encode("flare/possession", block.chainid, address(registry), account))
        );
    }

    function test_plainEther_isRefused() public {
        vm.prank(owner);
        (bool sent,) = address(registry).call{value: 1}("");
        vm.assertFalse(sent);
    }

    function test_activeKeyChanged_reverts_whenCallerIsNotRegistry() public {
        vm.expectRevert(abi.encodeWithSelector(IActiveKeys.NotRegistry.selector, stranger));
        vm.prank(stranger);
        IActiveKeys(address(coordinator)).activeKeyChanged(stranger, 1, 1);
    }
}
