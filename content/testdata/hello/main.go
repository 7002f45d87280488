// Command hello says who runs it; the tests put it into images.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Println("hello from", os.Args[0], "as", os.Getuid(), os.Getgid())
}
