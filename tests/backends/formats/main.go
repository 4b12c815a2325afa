// Command formats reads files with the parsers that their programs use, and prints them as JSON.
//
//	formats compose FILE [NAME=VALUE...]  a Compose file with these variables, with the library of
//	                                      Docker Compose
//	formats alloy FILE                    a configuration of Grafana Alloy, with the parser of River,
//	                                      from which Alloy's syntax descends
//	formats yaml FILE                     any YAML file
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/grafana/river/ast"
	"github.com/grafana/river/parser"
	"github.com/grafana/river/printer"
	"go.yaml.in/yaml/v4"
)

func main() {
	if len(os.Args) < 3 || len(os.Args) > 3 && os.Args[1] != "compose" {
		fail(fmt.Errorf("usage: formats compose FILE [NAME=VALUE...], or formats alloy|yaml FILE"))
	}
	variables := os.Args[3:]
	read, known := map[string]func(string) (any, error){
		"compose": func(path string) (any, error) { return compose(path, variables) },
		"alloy":   alloy,
		"yaml":    document,
	}[os.Args[1]]
	if !known {
		fail(fmt.Errorf("unknown format %q, expected compose, alloy or yaml", os.Args[1]))
	}
	content, err := read(os.Args[2])
	if err != nil {
		fail(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(content); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// compose reads a project as `docker compose config` does: it checks the file against the schema,
// resolves variables and paths, and checks the references between services. Variables of this
// process are not used.
func compose(path string, variables []string) (any, error) {
	options, err := cli.NewProjectOptions([]string{path}, cli.WithEnv(variables), cli.WithInterpolation(true), cli.WithResolvedPaths(true))
	if err != nil {
		return nil, err
	}
	return options.LoadProject(context.Background())
}

// block is a block of a configuration, with the expressions of its arguments as text.
type block struct {
	Name      string            `json:"name"`
	Label     string            `json:"label"`
	Arguments map[string]string `json:"arguments"`
	Blocks    []block           `json:"blocks"`
}

func alloy(path string) (any, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	file, err := parser.ParseFile(path, text)
	if err != nil {
		return nil, err
	}
	return content("", "", file.Body)
}

// content returns a body with the blocks in it.
func content(name, label string, body ast.Body) (block, error) {
	result := block{Name: name, Label: label, Arguments: map[string]string{}, Blocks: []block{}}
	for _, statement := range body {
		switch statement := statement.(type) {
		case *ast.AttributeStmt:
			text, err := source(statement.Value)
			if err != nil {
				return block{}, err
			}
			result.Arguments[statement.Name.Name] = text
		case *ast.BlockStmt:
			inner, err := content(statement.GetBlockName(), statement.Label, statement.Body)
			if err != nil {
				return block{}, err
			}
			result.Blocks = append(result.Blocks, inner)
		}
	}
	return result, nil
}

// source returns the text of an expression.
func source(expression ast.Expr) (string, error) {
	var text strings.Builder
	err := printer.Fprint(&text, expression)
	return text.String(), err
}

func document(path string) (any, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var content any
	err = yaml.Unmarshal(text, &content)
	return content, err
}
