package kubeadm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/holdfast-fleet/holdfast/bootstrap/system"
	"github.com/holdfast-fleet/holdfast/durable"
	"github.com/holdfast-fleet/holdfast/fleet"
)

const relayUnit = "holdfast-api.service"

// relayRuns brings up what leads a worker to the control plane, which outlives the agent.
func (n *node) relayRuns(ctx context.Context) error {
	if !n.Worker {
		return nil
	}
	program, err := n.program()
	if err != nil {
		return err
	}
	if _, err := system.Write(map[string]string{n.serversFile(): n.servers()}); err != nil {
		return err
	}
	err = n.settle("relay", map[string]string{system.UnitDir + relayUnit: n.relayUnitFile(program)}, func() error {
		return renewed(ctx, relayUnit, "restart "+relayUnit)
	})
	if err != nil {
		return err
	}
	if err := system.Enable(relayUnit); err != nil {
		return err
	}
	return inTurn(ctx, "start "+relayUnit)
}

func (n *node) serversFile() string { return filepath.Join(n.Dir, "servers") }

// servers lists the API servers, which the relay reads anew for each connection.
func (n *node) servers() string {
	var b strings.Builder
	for _, m := range n.others() {
		if m.Role == fleet.ControlPlane && m.Network.Address != "" {
			fmt.Fprintln(&b, net.JoinHostPort(m.Network.Address, strconv.Itoa(n.Cluster.APIPort)))
		}
	}
	return b.String()
}

// copyProgram keeps a copy of the running program for the relay, since the agent
// may switch to another, which is not a reason to cut connections.
func (n *node) copyProgram() (string, error) {
	own, err := os.Executable()
	if err != nil {
		return "", err
	}
	info, err := os.Stat(own)
	if err != nil {
		return "", err
	}
	name := filepath.Join(n.Dir, fmt.Sprintf("relay-%x-%x", info.Size(), info.ModTime().UnixNano()))
	if system.Exists(name) {
		return name, nil
	}
	old, err := filepath.Glob(filepath.Join(n.Dir, "relay-*"))
	if err != nil {
		return "", err
	}
	for _, file := range old {
		if err := os.Remove(file); err != nil {
			return "", err
		}
	}
	return name, copyFile(own, name)
}

// copyFile makes a program that is whole under its name, or not there.
func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o700)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	if err := errors.Join(err, target.Sync(), target.Close()); err != nil {
		return err
	}
	return errors.Join(os.Rename(to+".new", to), durable.SyncDir(filepath.Dir(to)))
}

func (n *node) relayUnitFile(program string) string {
	return fmt.Sprintf(`# Written by Holdfast.
[Unit]
Description=Way to the cluster's API, on whichever host of the control plane answers
After=network.target
StartLimitIntervalSec=0

[Service]
ExecStart=%s relay --listen %s --servers %s
Restart=always
RestartSec=1
LimitNOFILE=8192
CapabilityBoundingSet=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
`, program, n.localEndpoint(), n.serversFile())
}
