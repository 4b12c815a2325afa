module healthcheck

go 1.24
