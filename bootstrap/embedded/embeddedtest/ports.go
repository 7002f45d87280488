package embeddedtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Of these ports Linux gives none to whoever connects, or listens at any, and
// Kubernetes none to a Service.
const firstPort, manyPorts = 20_000, 10_000

// Ports reserves TCP ports until the test ends: nothing listens at them, and no other
// test of the machine gets them.
func Ports(t testing.TB, n int) []int {
	t.Helper()
	var ports []int
	start := rand.IntN(manyPorts)
	for i := 0; i < manyPorts && len(ports) < n; i++ {
		port := firstPort + (start+i)%manyPorts
		release, err := reserve(port)
		if err != nil {
			continue
		}
		t.Cleanup(release)
		ports = append(ports, port)
	}
	if len(ports) < n {
		t.Fatalf("no %d ports are free", n)
	}
	return ports
}

// reserve locks a file for a port that is free.
func reserve(port int) (release func(), err error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("holdfast-test-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		f.Close()
		return nil, err
	}
	l.Close()
	return func() { f.Close() }, nil
}
