// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

/// A token with what clients treat in ways of their own: events, a revert with a reason, one with an error type, a panic.
contract Token {
    string public constant name = "Replica Token";
    string public constant symbol = "RPL";
    uint8 public constant decimals = 18;

    uint256 public totalSupply;
    mapping(address => uint256) public balanceOf;

    event Transfer(address indexed from, address indexed to, uint256 value);

    error NotEnough(uint256 wanted, uint256 there);

    constructor(uint256 supply) {
        totalSupply = supply;
        balanceOf[msg.sender] = supply;
        emit Transfer(address(0), msg.sender, supply);
    }

    function transfer(address to, uint256 value) external returns (bool) {
        require(to != address(0), "to nobody");
        uint256 there = balanceOf[msg.sender];
        if (there < value) revert NotEnough(value, there);
        unchecked {
            balanceOf[msg.sender] = there - value;
            balanceOf[to] += value;
        }
        emit Transfer(msg.sender, to, value);
        return true;
    }

    function share(uint256 parts) external view returns (uint256) {
        return totalSupply / parts;
    }
}
