// Package control lets the commands of one machine talk to a running process
// over a unix socket in its directory.
//
// Read Handler and Client first. A socket file with mode 0600 in a directory
// only the owner can enter is the whole authentication: whoever may connect
// could read the owner's keys beside it. So bucket and key names go over it,
// which must not stand on the console, whose listener the operator may open to
// others. Requests and answers are JSON over HTTP; the kind of an error and
// its hint survive.
//
// What can be asked is a table of methods that the process registers.
package control
