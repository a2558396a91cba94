// Package process holds tests of what survives: real nodes and a gateway are
// killed, restarted, damaged and recovered while a model says what must be
// there.
//
// Read model_test.go first: it is what the store is compared with. Every test
// starts a network of its own and prints the seed of its random choices;
// CAIRN_E2E_SEED repeats one. CAIRN_SOAK adds the long ones.
package process
