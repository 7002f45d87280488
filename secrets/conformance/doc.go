// Package conformance shows the documents of package secrets to the program
// sops, and the other way round. It is a module of its own, so that sops and what
// it needs stay out of the program's.
package conformance
