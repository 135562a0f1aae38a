// Command hostilepack writes one pack of the corpus of hostile packs to its
// standard output: a line with the id that a ref is to name after it, then the
// pack. Without a name it lists the cases. Tests run it where the race detector
// would make them wait for a pack that takes long to make.
package main

import (
	"bufio"
	"fmt"
	"os"

	"github.com/cairn-storage/cairn/internal/gittest/hostile"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	if len(os.Args) < 2 {
		for _, c := range hostile.Cases() {
			fmt.Fprintf(out, "%-32s %s\n", c.Name, c.Why)
		}
	} else {
		push := hostile.Named(os.Args[1]).Make()
		fmt.Fprintln(out, push.Tip)
		_, _ = out.Write(push.Pack) // Flush tells
	}
	if err := out.Flush(); err != nil {
		fmt.Fprintln(os.Stderr, "hostilepack:", err)
		os.Exit(1)
	}
}
