// SPDX-License-Identifier: BSD-3-Clause
#include "control/link_watch.h"

#include "sluice/log.h"

// member: "" for the port itself.
static void say(const char *port, const char *member, bool up)
{
	const char *of = *member ? ", member " : "";

	if (up)
		log_notice("port %s%s%s: the link is up", port, of, member);
	else
		log_warning("port %s%s%s: no link", port, of, member);
}

// Members keep their places for as long as the daemon runs.
static void compare(const char *port, const struct sluice_port_link *before,
                    const struct sluice_port_link *now)
{
	if (now->up != before->up)
		say(port, "", now->up);
	for (unsigned i = 0; i < now->member_count; i++) {
		bool was_up = i >= before->member_count || before->members[i].up;

		if (now->members[i].up != was_up)
			say(port, now->members[i].name, now->members[i].up);
	}
}

void sluice_link_watch_look(struct sluice_link_watch *w, const struct sluice_stats_source *source)
{
	for (size_t i = 0; i < source->port_count; i++) {
		struct sluice_port_link now = sluice_stats_port_link(source, i);

		if (!w->watching)
			w->links[i] = (struct sluice_port_link){.up = true};
		compare(source->ports[i].name, &w->links[i], &now);
		w->links[i] = now;
	}
	w->watching = true;
}
