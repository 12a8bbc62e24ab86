// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

interface IParticipantRegistryTypes {
    /// A registered account. `vrfKey` is the x coordinate of a secp256k1 point whose y is even.
    struct Participant {
        uint256 vrfKey;
        uint128 bond;
        /// Time (seconds) from which the bond may be withdrawn; 0 while no exit is requested.
        uint64 withdrawableAt;
        /// Accounts are numbered in the order in which they register, from 1. A number is never another account's, so it
        /// names the account and its only key for good.
        uint24 number;
    }
}

interface IParticipantRegistryErrors {
    /// An account registers once: after withdrawal it is retired, as its key is.
    error AlreadyRegistered(address account);
    error NotRegistered(address account);
    error BondTooSmall(uint256 sent, uint256 minimum);
    /// The key is another account's, in use or retired: a key is never used twice.
    error KeyTaken(uint256 vrfKey);
    /// The proof of possession does not verify for this account on this registry.
    error PossessionNotProven(address account, uint256 vrfKey);
    error ExitAlreadyRequested(address account, uint64 withdrawableAt);
    error ExitNotRequested(address account);
    error BondLocked(address account, uint64 withdrawableAt);
    error NotCoordinator(address caller);
    error TransferFailed(address to, uint256 amount);
    error NothingToBurn();
    /// All numbers are given.
    error RegistryFull(uint256 participants);
}

interface IParticipantRegistryEvents {
    event ParticipantRegistered(address indexed account, uint256 indexed vrfKey, uint256 bond, uint24 number);
    event BondIncreased(address indexed account, uint256 amount, uint256 bond);
    event ExitRequested(address indexed account, uint64 withdrawableAt);
    event BondWithdrawn(address indexed account, uint256 amount);
    event BondFined(address indexed account, uint256 amount, uint256 bond);
    event FinesBurnt(uint256 amount);
}

/// @title Bonds and VRF keys of everyone who takes part
/// @notice One per coordinator, which creates it; the coordinator alone may fine. A fine is burnt: nobody gains by it.
interface IParticipantRegistry is IParticipantRegistryTypes, IParticipantRegistryErrors, IParticipantRegistryEvents {
    /// @notice Register the caller with a bond (`msg.value` >= `minimumBond`) and a VRF key.
    /// @param vrfKey x coordinate of the public key; its y is even (the prover negates its scalar where needed).
    /// @param proofOfPossession an on-chain VRF proof (see `EcVrf`) under `vrfKey` over `possessionAlpha(account)`.
    function register(uint256 vrfKey, bytes calldata proofOfPossession) external payable;

    /// @notice Add `msg.value` to the caller's bond. Refused once an exit is requested.
    function increaseBond() external payable;

    /// @notice Start the unbonding delay. From now on the account cannot enrol, and enrolments count as ended;
    /// seats it already holds can still be fined until the bond is withdrawn.
    function requestExit() external;

    /// @notice Pay the caller its bond after the delay, and retire the account and its key for good. (An account that
    /// came back under a new key could choose it for a seed already known, and claim with an old enrolment.)
    function withdrawBond() external;

    /// @notice Take up to `amount` from an account's bond. Coordinator only.
    /// @return taken what was taken: the smaller of `amount` and the bond.
    function fine(address account, uint256 amount) external returns (uint256 taken);

    /// @notice Send all fines collected so far to the burn address. Anyone may call.
    function burnFines() external;

    function participant(address account) external view returns (Participant memory);
    /// @notice Accounts that ever registered: the highest number.
    function participants() external view returns (uint24);
    /// @notice The key of an account that is registered, has at least `minimumBond` left and has not requested an exit; else 0.
    function activeKey(address account) external view returns (uint256 vrfKey);
    /// @notice The account that registered a key; it stays after withdrawal, so a key cannot be reused.
    function keyOwner(uint256 vrfKey) external view returns (address);
    /// @notice keccak256(abi.encode("flare/possession", chainid, registry, account)).
    function possessionAlpha(address account) external view returns (bytes32);
    function minimumBond() external view returns (uint256);
    /// @notice Seconds between an exit request and the withdrawal; longer than any round a coordinator admits.
    function unbondingDelay() external view returns (uint64);
    function coordinator() external view returns (address);
    function unburntFines() external view returns (uint256);
}
