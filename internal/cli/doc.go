// Package cli is what the commands cairn and storagenode share: settings in
// layers, output for people and for programs, exit codes, progress.
//
// Read App and Settings first. A setting is a flag; where the flag was not
// given, its environment variable counts, then the configuration file, then
// the default. Results go to stdout, as text or with --json as one document;
// everything else (progress, warnings, logs, errors) goes to stderr. An error
// ends with a hint when somebody can do something about it, and its kind is
// the exit code.
//
// What a command does is left to the commands.
package cli
