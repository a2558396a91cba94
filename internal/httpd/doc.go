// Package httpd runs HTTP servers as parts of a process.
//
// Read Server first. Start opens the listener, so that a port in use fails the
// start and the address is known; Stop refuses new requests, lets those under
// way end, and cuts them off at its deadline. Connections, header sizes and
// the time a stranger may take to send a header are bounded.
//
// What is served, and as whom, is left to the handler and the TLS
// configuration.
package httpd
