// Package knownhosts says which keys servers of SSH may show, by what known_hosts(5) holds.
package knownhosts

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
	"golang.org/x/sys/unix"
)

// Parse reads what a file of known hosts holds.
func Parse(data []byte) (ssh.HostKeyCallback, error) {
	// The library reads files only, so it gets one that is in memory.
	fd, err := unix.MemfdCreate("known_hosts", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "known_hosts")
	defer file.Close()
	if _, err := file.Write(data); err != nil {
		return nil, err
	}
	return knownhosts.New(fmt.Sprintf("/proc/self/fd/%d", fd))
}

// Algorithms lists the kinds of keys that are known of a server, so that it shows
// one of these.
func Algorithms(known ssh.HostKeyCallback, address string) ([]string, error) {
	none, err := ssh.NewPublicKey(ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)))
	if err != nil {
		return nil, err
	}
	keys := new(knownhosts.KeyError)
	if err := known(address, &net.TCPAddr{}, none); !errors.As(err, &keys) || len(keys.Want) == 0 {
		return nil, errors.New("not known")
	}
	var algorithms []string
	for _, k := range keys.Want {
		if k.Key.Type() == ssh.KeyAlgoRSA {
			algorithms = append(algorithms, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
			continue
		}
		algorithms = append(algorithms, k.Key.Type())
	}
	return algorithms, nil
}
