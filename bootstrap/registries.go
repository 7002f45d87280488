package bootstrap

import (
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/holdfast-fleet/holdfast/bootstrap/containerd"
	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/fleet"
)

// registriesOf are the registries that a distribution declares, with the passwords
// that it has, or the host.
func registriesOf(m fleet.Machine) (containerd.Registries, error) {
	r := containerd.Registries{Mirrors: m.Mirrors, Logins: map[string]containerd.Login{}}
	for host, login := range m.Logins {
		if login.Password != "" {
			r.Logins[host] = containerd.Login{Username: login.Username, Password: login.Password}
			continue
		}
		password, err := passwordIn(login.PasswordFile)
		if err != nil {
			return r, system.Refuse(fmt.Sprintf("password for %s: %s", host, err), fmt.Sprintf("write it to %s on this host, one line, and: chmod 600 %[1]s", login.PasswordFile))
		}
		r.Logins[host] = containerd.Login{Username: login.Username, Password: password}
	}
	return r, nil
}

const maxPassword = 64 << 10 // bytes: some are whole documents

// passwordIn reads a file of one line that root alone can read. No error quotes it.
func passwordIn(file string) (string, error) {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular() || info.Size() > maxPassword:
		return "", fmt.Errorf("%s is no file of at most %d bytes", file, maxPassword)
	case info.Mode().Perm()&0o077 != 0:
		return "", fmt.Errorf("%s can be read by others: its mode is %04o", file, info.Mode().Perm())
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	text := strings.TrimRight(string(data), "\r\n")
	if text == "" || !utf8.ValidString(text) || strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return "", fmt.Errorf("%s does not hold one line of text", file)
	}
	return text, nil
}
