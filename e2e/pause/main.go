// Command pause keeps the namespaces of a pod in the stories, as the one of Kubernetes
// does: with -v it says its version, by which kubeadm finds out that pods run.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	version := flag.Bool("v", false, "print a version")
	flag.Parse()
	if *version {
		fmt.Println("pause")
		return
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, os.Interrupt)
	<-end
}
