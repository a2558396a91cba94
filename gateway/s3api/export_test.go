package s3api

// RouteInfo is what tests want to know of a route.
type RouteInfo struct {
	Operation, Method, Query, Header string
	Level                            int // 0 service, 1 bucket, 2 object
	Stream                           bool
}

// Routes lists the route table.
func Routes() []RouteInfo {
	var all []RouteInfo
	for _, rt := range routes {
		all = append(all, RouteInfo{rt.operation, rt.method, rt.query, rt.header, int(rt.level), rt.body == stream})
	}
	return all
}

// ErrorCodes lists the error table.
func ErrorCodes() map[string]int {
	all := map[string]int{}
	for code, e := range errorTable {
		all[code] = e.status
	}
	return all
}
