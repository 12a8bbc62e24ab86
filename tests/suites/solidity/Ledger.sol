// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// A library that is deployed apart, so that linking is tested.
library Sums {
    function total(uint256[] calldata values) external pure returns (uint256 sum) {
        for (uint256 i = 0; i < values.length; i++) {
            sum += values[i];
        }
    }
}

/// A contract for the connectors' shared suite: each feature of the ABI that Flare's contracts use, and each way to fail.
contract Ledger {
    struct Entry {
        bytes32 digest;
        uint64 size;
    }

    struct Page {
        Entry[] entries;
        address writer;
    }

    error AmountTooLarge(uint256 amount, uint256 limit);
    error RuleOutOfRange(bytes32 rule, uint256 value);
    error Closed();

    event Deposited(address indexed from, uint256 amount);
    event EntryWritten(uint256 indexed index, address indexed writer, Entry entry, bytes note);
    event Named(string indexed name, bool flag);

    uint256 public immutable limit;
    address public immutable owner;
    uint256 public count;
    mapping(uint256 => Entry) private _entries;
    mapping(address => uint256) public balanceOf;

    constructor(uint256 limit_) payable {
        if (limit_ == 0) revert Closed();
        limit = limit_;
        owner = msg.sender;
    }

    function deposit() external payable {
        if (msg.value > limit) revert AmountTooLarge(msg.value, limit);
        balanceOf[msg.sender] += msg.value;
        emit Deposited(msg.sender, msg.value);
    }

    function write(Entry calldata entry, bytes calldata note) external returns (uint256 index) {
        index = count++;
        _entries[index] = entry;
        emit EntryWritten(index, msg.sender, entry, note);
    }

    function rename(string calldata name, bool flag) external {
        emit Named(name, flag);
    }

    function entry(uint256 index) external view returns (Entry memory) {
        return _entries[index];
    }

    function page() external view returns (Page memory result, uint256 length) {
        result.entries = new Entry[](count);
        for (uint256 i = 0; i < count; i++) {
            result.entries[i] = _entries[i];
        }
        result.writer = msg.sender;
        length = count;
    }

    function sum(uint256[] calldata values) external pure returns (uint256) {
        return Sums.total(values);
    }

    function environment() external view returns (uint256 number, uint256 time, uint256 random, bytes32 parent) {
        return (block.number, block.timestamp, block.prevrandao, blockhash(block.number - 1));
    }

    function recordEnvironment() external {
        Entry memory seen = Entry(bytes32(block.prevrandao), uint64(block.timestamp));
        emit EntryWritten(block.number, block.coinbase, seen, abi.encode(blockhash(block.number - 1)));
    }

    /// The hash of an older block from the history contract of EIP-2935.
    function history(uint256 number) external view returns (bytes32) {
        (bool ok, bytes memory found) =
            address(0x0000F90827F1C53a10cb7A02335B175320002935).staticcall(abi.encode(number));
        require(ok, "no history");
        return abi.decode(found, (bytes32));
    }

    function refuse(uint256 kind) external payable {
        if (kind == 0) revert Closed();
        if (kind == 1) revert RuleOutOfRange("maxSeats", 65);
        if (kind == 2) revert("plain words");
        if (kind == 3) assert(false);
        if (kind == 4) {
            assembly {
                revert(0, 0)
            }
        }
        if (kind == 5) {
            assembly {
                mstore(0, 0xdeadbeef)
                revert(28, 4)
            }
        }
    }

    /// Succeeds once, so that of two transactions that were both simulated before either was mined, one reverts.
    function once() external {
        if (count != 0) revert Closed();
        count = 1;
    }

    function burn(uint256 rounds) external {
        for (uint256 i = 0; i < rounds; i++) {
            _entries[i].digest = keccak256(abi.encode(i));
        }
    }

    function pick(uint256 value) external pure returns (uint256) {
        return value;
    }

    function pick(address value) external pure returns (address) {
        return value;
    }
}
