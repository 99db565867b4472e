package main

import "context"

type devCommand struct{}

func (devCommand) Run(context.Context, *process) error { return nil }

type importCommand struct{}

func (importCommand) Run(context.Context, *process) error { return nil }
