package identity

import (
	"io"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Facts describe a machine to the person who registers it. A fact that cannot
// be found out is empty.
type Facts struct {
	Hostname    string `json:"hostname"`
	OS          string `json:"os"`     // PRETTY_NAME of os-release(5)
	Arch        string `json:"arch"`   // as Go and OCI call it: amd64, arm64
	Kernel      string `json:"kernel"` // release, as uname -r prints it
	MemoryBytes uint64 `json:"memoryBytes"`
	CPUs        int    `json:"cpus"`
}

const maxRelease = 64 << 10 // bytes of os-release

// Facts finds out about the machine.
func (id *Identity) Facts() Facts {
	f := Facts{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU()}
	f.Hostname, _ = os.Hostname() // stays empty
	for _, path := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		if name := releaseName(path); name != "" {
			f.OS = name
			break
		}
	}
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		f.Kernel = unix.ByteSliceToString(uts.Release[:])
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		f.MemoryBytes = uint64(info.Totalram) * uint64(info.Unit) //nolint:unconvert // 32 bits wide on some architectures
	}
	return f
}

func releaseName(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRelease))
	if err != nil {
		return ""
	}
	return parseRelease(string(data))
}

// parseRelease returns PRETTY_NAME of os-release(5), in printable characters.
func parseRelease(text string) string {
	for line := range strings.Lines(text) {
		value, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME=")
		if !ok {
			continue
		}
		value = strings.Trim(value, `"'`)
		return strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f || r == '\\' {
				return -1
			}
			return r
		}, value)
	}
	return ""
}
