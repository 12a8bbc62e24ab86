// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title What the registry tells its coordinator
/// @notice The coordinator keeps a copy of every active key, by the participant's number, so that an update or a claim
/// reads one slot of its own instead of calling another contract.
interface IActiveKeys {
    error NotRegistry(address caller);

    /// @notice Note that `IParticipantRegistry.activeKey(account)` is now `vrfKey`. Registry only.
    /// @param number the account's (see `IParticipantRegistryTypes.Participant`).
    function activeKeyChanged(address account, uint24 number, uint256 vrfKey) external;
}
