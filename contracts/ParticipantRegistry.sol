// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IActiveKeys} from "./interfaces/IActiveKeys.sol";
import {IParticipantRegistry} from "./interfaces/IParticipantRegistry.sol";
import {EcVrf} from "./libraries/EcVrf.sol";

/// @title Bonds and VRF keys of everyone who takes part
contract ParticipantRegistry is IParticipantRegistry {
    struct Account {
        uint256 vrfKey;
        uint128 bond;
        uint64 withdrawableAt;
        /// Set by the withdrawal, for good: an account that came back under another key could choose that key for a seed
        /// already known, and claim with an enrolment from before.
        bool retired;
        uint24 number;
    }

    /// Nobody holds a key to this address.
    address private constant BURN_ADDRESS = 0x000000000000000000000000000000000000dEaD;

    /// @inheritdoc IParticipantRegistry
    uint256 public immutable override minimumBond;
    /// @inheritdoc IParticipantRegistry
    uint64 public immutable override unbondingDelay;
    /// @inheritdoc IParticipantRegistry
    address public immutable override coordinator;

    mapping(address account => Account) private _accounts;
    /// @inheritdoc IParticipantRegistry
    mapping(uint256 vrfKey => address) public override keyOwner;
    /// @inheritdoc IParticipantRegistry
    uint256 public override unburntFines;
    /// @inheritdoc IParticipantRegistry
    uint24 public override participants;

    constructor(uint256 minimumBond_, uint64 unbondingDelay_) {
        minimumBond = minimumBond_;
        unbondingDelay = unbondingDelay_;
        coordinator = msg.sender;
    }

    // ---------------------------------------------------------------- actions

    /// @inheritdoc IParticipantRegistry
    function register(uint256 vrfKey, bytes calldata proofOfPossession) external payable override {
        Account storage account = _accounts[msg.sender];
        if (account.vrfKey != 0 || account.retired) revert AlreadyRegistered(msg.sender);
        if (msg.value < minimumBond) revert BondTooSmall(msg.value, minimumBond);
        if (keyOwner[vrfKey] != address(0)) revert KeyTaken(vrfKey);
        // It verifies only for a point of the curve, so an account's key is not 0.
        if (!EcVrf.verify(vrfKey, possessionAlpha(msg.sender), proofOfPossession)) {
            revert PossessionNotProven(msg.sender, vrfKey);
        }
        if (participants == type(uint24).max) revert RegistryFull(participants);
        uint24 number = ++participants;
        keyOwner[vrfKey] = msg.sender;
        account.vrfKey = vrfKey;
        account.bond = uint128(msg.value);
        account.number = number;
        emit ParticipantRegistered(msg.sender, vrfKey, msg.value, number);
        IActiveKeys(coordinator).activeKeyChanged(msg.sender, number, vrfKey);
    }

    /// @inheritdoc IParticipantRegistry
    function increaseBond() external payable override {
        Account storage account = _registered(msg.sender);
        if (account.withdrawableAt != 0) revert ExitAlreadyRequested(msg.sender, account.withdrawableAt);
        bool wasActive = account.bond >= minimumBond;
        account.bond += uint128(msg.value);
        emit BondIncreased(msg.sender, msg.value, account.bond);
        if (!wasActive && account.bond >= minimumBond) {
            IActiveKeys(coordinator).activeKeyChanged(msg.sender, account.number, account.vrfKey);
        }
    }

    /// @inheritdoc IParticipantRegistry
    function requestExit() external override {
        Account storage account = _registered(msg.sender);
        if (account.withdrawableAt != 0) revert ExitAlreadyRequested(msg.sender, account.withdrawableAt);
        account.withdrawableAt = uint64(block.timestamp) + unbondingDelay;
        emit ExitRequested(msg.sender, account.withdrawableAt);
        IActiveKeys(coordinator).activeKeyChanged(msg.sender, account.number, 0);
    }

    /// @inheritdoc IParticipantRegistry
    function withdrawBond() external override {
        Account storage account = _registered(msg.sender);
        uint64 withdrawableAt = account.withdrawableAt;
        if (withdrawableAt == 0) revert ExitNotRequested(msg.sender);
        if (block.timestamp < withdrawableAt) revert BondLocked(msg.sender, withdrawableAt);
        uint256 amount = account.bond;
        _accounts[msg.sender] = Account({vrfKey: 0, bond: 0, withdrawableAt: 0, retired: true, number: account.number});
        emit BondWithdrawn(msg.sender, amount);
        _send(msg.sender, amount);
    }

    /// @inheritdoc IParticipantRegistry
    function fine(address account, uint256 amount) external override returns (uint256 taken) {
        if (msg.sender != coordinator) revert NotCoordinator(msg.sender);
        Account storage fined = _accounts[account];
        uint256 bond = fined.bond;
        taken = amount < bond ? amount : bond;
        if (taken == 0) return 0;
        bool deactivates = fined.withdrawableAt == 0 && bond >= minimumBond && bond - taken < minimumBond;
        fined.bond = uint128(bond - taken);
        unburntFines += taken;
        emit BondFined(account, taken, bond - taken);
        if (deactivates) IActiveKeys(coordinator).activeKeyChanged(account, fined.number, 0);
    }

    /// @inheritdoc IParticipantRegistry
    function burnFines() external override {
        uint256 amount = unburntFines;
        if (amount == 0) revert NothingToBurn();
        unburntFines = 0;
        emit FinesBurnt(amount);
        _send(BURN_ADDRESS, amount);
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IParticipantRegistry
    function participant(address account) external view override returns (Participant memory) {
        Account storage stored = _accounts[account];
        return Participant({
            vrfKey: stored.vrfKey, bond: stored.bond, withdrawableAt: stored.withdrawableAt, number: stored.number
        });
    }

    /// @inheritdoc IParticipantRegistry
    function activeKey(address account) external view override returns (uint256) {
        Account storage stored = _accounts[account];
        return stored.withdrawableAt == 0 && stored.bond >= minimumBond ? stored.vrfKey : 0;
    }

    /// @inheritdoc IParticipantRegistry
    function possessionAlpha(address account) public view override returns (bytes32) {
        return keccak256(abi.encode("flare/possession", block.chainid, address(this), account));
    }

    // --------------------------------------------------------------- internal

    function _registered(address account) private view returns (Account storage stored) {
        stored = _accounts[account];
        if (stored.vrfKey == 0) revert NotRegistered(account);
    }

    function _send(address to, uint256 amount) private {
        // A worker's own bond, or what is burnt, which goes to nobody.
        // slither-disable-next-line arbitrary-send-eth
        (bool sent,) = to.call{value: amount}("");
        if (!sent) revert TransferFailed(to, amount);
    }
}
