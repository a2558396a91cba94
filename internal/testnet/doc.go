// Package testnet runs whole networks inside a test process.
//
// Mem is the smallest: nodes in memory that fail on command, reached through
// the real client, with a catalog in memory and a real engine on top.
package testnet
