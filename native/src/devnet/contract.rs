//! Contracts of the devnet, written in assembly: a token, an exit root manager, a note.

use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use std::collections::HashMap;

/// An ERC-20 token. A balance stands in the slot with the number of its owner's address, an allowance in slot
/// `keccak(owner, spender)`. Whoever has too little is told so: `Error("insufficient balance")`.
///
/// Each comment is the stack after the line, its top to the right.
const TOKEN: &str = "
    PUSH1 00 CALLDATALOAD PUSH1 e0 SHR
    DUP1 PUSH4 70a08231 EQ @balanceOf JUMPI
    DUP1 PUSH4 a9059cbb EQ @transfer JUMPI
    DUP1 PUSH4 23b872dd EQ @transferFrom JUMPI
    DUP1 PUSH4 095ea7b3 EQ @approve JUMPI
    DUP1 PUSH4 dd62ed3e EQ @allowance JUMPI
    DUP1 PUSH4 18160ddd EQ @totalSupply JUMPI
    DUP1 PUSH4 313ce567 EQ @decimals JUMPI
    DUP1 PUSH4 95d89b41 EQ @symbol JUMPI
    DUP1 PUSH4 06fdde03 EQ @symbol JUMPI
    PUSH1 00 PUSH1 00 REVERT

    :balanceOf PUSH1 04 CALLDATALOAD SLOAD @word JUMP
    :totalSupply PUSH10 d3c21bcecceda1000000 @word JUMP
    :decimals PUSH1 12 @word JUMP
    :word PUSH1 00 MSTORE PUSH1 20 PUSH1 00 RETURN
    :symbol PUSH1 20 PUSH1 00 MSTORE PUSH1 03 PUSH1 20 MSTORE
        PUSH3 444556 PUSH1 e8 SHL PUSH1 40 MSTORE PUSH1 60 PUSH1 00 RETURN

    :transfer CALLER PUSH1 04 CALLDATALOAD PUSH1 24 CALLDATALOAD @move JUMP
    :transferFrom
        PUSH1 04 CALLDATALOAD PUSH1 00 MSTORE CALLER PUSH1 20 MSTORE PUSH1 40 PUSH1 00 SHA3 ; slot
        DUP1 SLOAD PUSH1 44 CALLDATALOAD ; slot allowed amount
        DUP1 DUP3 LT @poor JUMPI
        SWAP1 SUB SWAP1 SSTORE
        PUSH1 04 CALLDATALOAD PUSH1 24 CALLDATALOAD PUSH1 44 CALLDATALOAD @move JUMP
    :move ; from to amount
        DUP3 SLOAD DUP2 DUP2 LT @poor JUMPI ; from to amount balance
        DUP2 SWAP1 SUB DUP4 SSTORE ; from to amount
        DUP2 SLOAD DUP2 ADD DUP3 SSTORE ; from to amount
        PUSH1 00 MSTORE SWAP1 ; to from
        PUSH32 ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef PUSH1 20 PUSH1 00 LOG3
        PUSH1 01 @word JUMP
    :approve
        CALLER PUSH1 00 MSTORE PUSH1 04 CALLDATALOAD PUSH1 20 MSTORE PUSH1 24 CALLDATALOAD ; amount
        DUP1 PUSH1 40 PUSH1 00 SHA3 SSTORE PUSH1 00 MSTORE
        PUSH1 04 CALLDATALOAD CALLER ; spender owner
        PUSH32 8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925 PUSH1 20 PUSH1 00 LOG3
        PUSH1 01 @word JUMP
    :allowance
        PUSH1 04 CALLDATALOAD PUSH1 00 MSTORE PUSH1 24 CALLDATALOAD PUSH1 20 MSTORE
        PUSH1 40 PUSH1 00 SHA3 SLOAD @word JUMP
    :poor
        PUSH4 08c379a0 PUSH1 e0 SHL PUSH1 00 MSTORE PUSH1 20 PUSH1 04 MSTORE PUSH1 14 PUSH1 24 MSTORE
        PUSH20 696e73756666696369656e742062616c616e6365 PUSH1 60 SHL PUSH1 44 MSTORE
        PUSH1 64 PUSH1 00 REVERT";

/// Gives all of the token to who creates it.
const TOKEN_CREATION: &str = "
    PUSH10 d3c21bcecceda1000000 DUP1 CALLER SSTORE PUSH1 00 MSTORE
    CALLER PUSH1 00
    PUSH32 ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef PUSH1 20 PUSH1 00 LOG3";

/// `updateExitRoot(bytes32)` of the exit root manager, which anybody may call here: writes the local exit root to slot 1.
const EXIT_ROOT_MANAGER: &str = "PUSH1 04 CALLDATALOAD PUSH1 01 SSTORE STOP";

/// Keeps the block's number in slot 0 and the caller in slot 1.
const NOTE: &str = "NUMBER PUSH1 00 SSTORE CALLER PUSH1 01 SSTORE STOP";

/// Creates the token.
pub(crate) fn token_creation() -> Bytes {
    creation(TOKEN_CREATION, TOKEN)
}

/// Creates a contract that keeps who called it last, and when.
pub(crate) fn note_creation() -> Bytes {
    creation("", NOTE)
}

/// Code of the exit root manager.
pub(crate) fn exit_root_manager() -> Bytes {
    assemble(EXIT_ROOT_MANAGER).into()
}

/// A call by its Solidity signature, with arguments of one word each.
pub(crate) fn call(signature: &str, arguments: &[B256]) -> Bytes {
    let mut data = keccak256(signature)[..4].to_vec();
    arguments.iter().for_each(|argument| data.extend_from_slice(argument.as_slice()));
    data.into()
}

/// A call that gives an address an amount: `transfer`, `approve`.
pub(crate) fn address_and_amount(signature: &str, to: Address, amount: U256) -> Bytes {
    call(signature, &[to.into_word(), amount.into()])
}

/// What is run at first, then the code that stays.
fn creation(first: &str, code: &str) -> Bytes {
    let (mut data, code) = (assemble(first), assemble(code));
    let length = u16::try_from(code.len()).expect("the contracts are short").to_be_bytes();
    // PUSH2 length, DUP1, PUSH2 offset, PUSH1 0, CODECOPY, PUSH1 0, RETURN
    let offset = u16::try_from(data.len() + 13).expect("the contracts are short").to_be_bytes();
    data.extend_from_slice(&[0x61, length[0], length[1], 0x80, 0x61, offset[0], offset[1]]);
    data.extend_from_slice(&[0x60, 0, 0x39, 0x60, 0, 0xf3]);
    data.extend_from_slice(&code);
    data.into()
}

/// Words to code: names of instructions, hex for what PUSH pushes, `:label` for a place to jump to, and `@label` to push
/// that place. What follows a `;` in a line is a comment.
fn assemble(text: &str) -> Vec<u8> {
    let (mut code, mut labels, mut uses) = (Vec::new(), HashMap::new(), Vec::new());
    let words = text.lines().flat_map(|line| line.split(';').next().unwrap_or_default().split_whitespace());
    for word in words {
        if let Some(label) = word.strip_prefix(':') {
            labels.insert(label, code.len());
            code.push(0x5b);
        } else if let Some(label) = word.strip_prefix('@') {
            uses.push((code.len() + 1, label));
            code.extend_from_slice(&[0x61, 0, 0]);
        } else if let Some((_, byte)) = INSTRUCTIONS.iter().find(|(name, _)| *name == word) {
            code.push(*byte);
        } else {
            code.extend(hex::decode(word).expect("the contracts are in assembly"));
        }
    }
    for (at, label) in uses {
        let place = u16::try_from(labels[label]).expect("the contracts are short");
        code[at..at + 2].copy_from_slice(&place.to_be_bytes());
    }
    code
}

const INSTRUCTIONS: &[(&str, u8)] = &[
    ("STOP", 0x00),
    ("ADD", 0x01),
    ("SUB", 0x03),
    ("LT", 0x10),
    ("EQ", 0x14),
    ("SHL", 0x1b),
    ("SHR", 0x1c),
    ("SHA3", 0x20),
    ("CALLER", 0x33),
    ("CALLDATALOAD", 0x35),
    ("NUMBER", 0x43),
    ("MSTORE", 0x52),
    ("SLOAD", 0x54),
    ("SSTORE", 0x55),
    ("JUMP", 0x56),
    ("JUMPI", 0x57),
    ("PUSH1", 0x60),
    ("PUSH3", 0x62),
    ("PUSH4", 0x63),
    ("PUSH10", 0x69),
    ("PUSH20", 0x73),
    ("PUSH32", 0x7f),
    ("DUP1", 0x80),
    ("DUP2", 0x81),
    ("DUP3", 0x82),
    ("DUP4", 0x83),
    ("SWAP1", 0x90),
    ("LOG3", 0xa3),
    ("RETURN", 0xf3),
    ("REVERT", 0xfd),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_become_places() {
        assert_eq!(assemble("@end JUMP ; nothing\n STOP :end PUSH1 0a"), hex!("6100055600 5b600a"));
    }

    #[test]
    fn all_contracts_assemble() {
        for code in [token_creation(), note_creation(), exit_root_manager()] {
            assert!(!code.is_empty());
        }
        assert_eq!(call("transfer(address,uint256)", &[])[..], hex!("a9059cbb"));
    }
}
