package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/holdfast-fleet/holdfast/gitsource"
	"github.com/holdfast-fleet/holdfast/trust"
)

// printVerdicts prints one in full or many in a line each.
func printVerdicts(w io.Writer, verdicts []gitsource.Verdict, output string, full bool) error {
	if output != "text" {
		return printAs(w, output, verdicts)
	}
	for _, v := range verdicts {
		if full {
			printVerdict(w, v, false)
			continue
		}
		said := v.Reason
		if who := vouchers(v); who != "" {
			said = "by " + who
			if v.Reason != "" {
				said += "; " + v.Reason
			}
		}
		if said != "" {
			said = "  (" + said + ")"
		}
		fmt.Fprintf(w, "%.12s  %-8s  %s%s\n", v.Commit, state(v), v.Subject, said)
	}
	return nil
}

func state(v gitsource.Verdict) string {
	switch {
	case v.Waits:
		return "waits"
	case v.Accepted:
		return "accepted"
	}
	return "refused"
}

func vouchers(v gitsource.Verdict) string {
	var names []string
	for _, voucher := range v.Vouchers {
		if voucher.Problem == "" {
			names = append(names, voucher.Name)
		}
	}
	return strings.Join(names, ", ")
}

// printVerdict prints who vouches for what; explain adds what does not count, and
// every path.
func printVerdict(w io.Writer, v gitsource.Verdict, explain bool) {
	fmt.Fprintf(w, "%-10s %.12s  %s\n%-10s %s\n", "commit", v.Commit, v.Subject, "hosts", state(v))
	if v.Base != "" {
		fmt.Fprintf(w, "%-10s trust/ of %.12s, mode %s\n", "judged by", v.Base, v.Mode)
	}
	for _, voucher := range v.Vouchers {
		switch {
		case voucher.Problem == "":
			fmt.Fprintf(w, "%-10s %s  %s  by %s\n", "voucher", voucher.Name, voucher.Key, described(voucher.By))
		case explain:
			fmt.Fprintf(w, "%-10s %s: %s\n", "no voucher", described(voucher.By), voucher.Problem)
		}
	}
	for _, n := range v.Needs {
		fmt.Fprintf(w, "%-10s %s\n", "rule", describeNeed(n, v.Waits))
		if !explain {
			continue
		}
		for _, path := range n.Paths {
			fmt.Fprintf(w, "%-10s %s\n", "", path)
		}
	}
	if v.Reason != "" {
		fmt.Fprintf(w, "%-10s %s\n", "reason", v.Reason)
	}
	if v.Warning != "" {
		fmt.Fprintf(w, "%-10s %s\n", "warning", v.Warning)
	}
	if tip := hint(v.Err); explain && v.Err != nil && tip != "" {
		fmt.Fprintf(w, "%-10s %s\n", "hint", strings.ReplaceAll(tip, "COMMIT", v.Commit[:12]))
	}
}

func described(by string) string {
	if by == "commit" {
		return "its own signature"
	}
	return "the tag " + by
}

func describeNeed(n trust.Need, later bool) string {
	if len(n.Members) == 0 {
		return fmt.Sprintf("none matches %s: nobody may change it", n.Paths[0])
	}
	text := fmt.Sprintf("%s: %d of %s", strings.Join(n.Patterns, ", "), n.Threshold, strings.Join(n.Groups, ", "))
	if len(n.Approved) > 0 {
		text += ", has " + strings.Join(n.Approved, ", ")
	}
	if n.Missing() == 0 {
		return text
	}
	still := "still needs"
	if later {
		still = "the release needs"
	}
	return fmt.Sprintf("%s; %s %d of %s", text, still, n.Missing(), strings.Join(n.Undecided(), ", "))
}
