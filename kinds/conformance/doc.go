// Package conformance asks the library of kubeconform about the objects that
// package kinds checks, and compares. It is a module of its own, so that
// kubeconform stays out of the program's.
package conformance
