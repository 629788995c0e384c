/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <unistd.h>

#include "tests/check.h"
#include "tests/support/control_kit.h"

static struct control_kit t;

#define BEGIN(databases)                                \
	do {                                            \
		if (t.k.loop)                           \
			ck_end(&t); /* a test failed */ \
		CHECK(ck_begin(&t, "c", databases));    \
		CHECK(sk_run(&t.k, SK_SECOND));         \
	} while (0)

static void end(void)
{
	ck_end(&t);
	memset(&t, 0, sizeof(t));
}

TEST(an_empty_daemon)
{
	BEGIN(0);
	CHECK_STR(ck_get(&t, "/list"), "200 {\"databases\":[]}");
	CHECK_STR(ck_get(&t, "/debug/sync-status"), "200 {\"databases\":[]}");
	CHECK(strstr(ck_get(&t, "/info"), "\"database_count\":0,"));
	end();
}

TEST(list_and_info)
{
	char pid[40];

	BEGIN(2);
	CHECK_STR(ck_get(&t, "/list"),
	          "200 {\"databases\":[{\"path\":\"P0\",\"status\":\"replicating\",\"last_sync_at\":\"2023-11-14T22:13:20Z\"},"
	          "{\"path\":\"P1\",\"status\":\"replicating\",\"last_sync_at\":\"2023-11-14T22:13:20Z\"}]}");
	CHECK(strstr(ck_get(&t, "/info"), "200 {\"version\":\"1.2.3\",\"pid\":"));
	snprintf(pid, sizeof(pid), "\"pid\":%d,\"uptime_seconds\":", (int)getpid());
	CHECK(strstr(t.text, pid));
	CHECK(strstr(t.text, "\"started_at\":\"2023-11-14T22:13:20Z\",\"database_count\":2,\"config_path\":\"/c.yml\","
	                     "\"socket_path\":\"/s.sock\",\"http_addr\":\"\",\"persist_to_config\":false,\"databases\":2,"
	                     "\"open_databases\":2}"));
	end();
}

TEST(routing)
{
	BEGIN(1);
	CHECK_STR(ck_ask(&t, "POST", "/list", "", "Allow:", 1), "405  GET, HEAD Method Not Allowed");
	CHECK_STR(ck_ask(&t, "GET", "/start", NULL, "Allow:", 1), "405  POST Method Not Allowed");
	CHECK_STR(ck_ask(&t, "GET", "/control/", NULL, "Allow:", 1), "405  POST Method not allowed");
	CHECK_STR(ck_ask(&t, "GET", "/nope", NULL, "X-Content-Type-Options:", 1), "404  nosniff 404 page not found");
	CHECK_STR(ck_ask(&t, "GET", "/nope", NULL, "Content-Type:", 1), "404  text/plain; charset=utf-8 404 page not found");
	CHECK_STR(ck_ask(&t, "GET", "/list", NULL, "Content-Type:", 1) + 0 ? "x" : "", "x");
	CHECK(strncmp(t.text, "200  application/json {\"databases\":", 35) == 0);
	CHECK_STR(ck_ask(&t, "HEAD", "/info", NULL, "Content-Type:", 1), "200  application/json ");
	CHECK_STR(ck_get(&t, "/list/"), "404 404 page not found");
	CHECK_STR(ck_ask(&t, "GET", "//list?a=b", NULL, "Location:", 1), "301  /list?a=b ");
	CHECK_STR(ck_ask(&t, "GET", "/a%20b/../l%3Fx", NULL, "Location:", 1), "301  /l%3Fx ");
	CHECK(strncmp(ck_get(&t, "http://localhost/list"), "200 {", 5) == 0);
	CHECK_STR(ck_get(&t, "/li%zzst"), "400 400 Bad Request");
	CHECK_STR(ck_get(&t, "*"), "404 404 page not found");
	CHECK_STR(ck_ask(&t, "DELETE", "/sync", NULL, "Allow:", 1), "405  POST Method Not Allowed");
	end();
}

TEST(txid)
{
	BEGIN(1);
	CHECK_STR(ck_get(&t, "/txid?path=P0"), "200 {\"txid\":1}");
	CHECK_STR(ck_get(&t, "/txid?x=1&path=P0&path=/other&replicated=1"), "200 {\"txid\":1,\"replicated_txid\":1}");
	CHECK_STR(ck_get(&t, "/txid"), "400 {\"error\":\"path required\"}");
	CHECK_STR(ck_get(&t, "/txid?path="), "400 {\"error\":\"path required\"}");
	CHECK_STR(ck_get(&t, "/txid?path=/q"), "404 {\"error\":\"database not found\"}");
	CHECK_STR(ck_get(&t, "/txid?path=sqlite://P0"), "200 {\"txid\":1}");
	end();
}

/* Bad bodies: control.md §1.3 and rows 13 to 17. */
TEST(bodies)
{
	BEGIN(1);
#define BAD(details) "400 {\"error\":\"invalid request body\",\"details\":\"" details "\"}"
	CHECK_STR(ck_post(&t, "/sync", ""), BAD("EOF"));
	CHECK_STR(ck_post(&t, "/sync", "{'path':'"), BAD("unexpected EOF"));
	CHECK_STR(ck_post(&t, "/sync", "{bad"), BAD("invalid character 'b' looking for beginning of object key string"));
	CHECK_STR(ck_post(&t, "/sync", "{'path':1}"),
	          BAD("json: cannot unmarshal number into Go struct field SyncRequest.path of type string"));
	CHECK_STR(ck_post(&t, "/sync", "{'path':'P0','timeout':'5'}"),
	          BAD("json: cannot unmarshal string into Go struct field SyncRequest.timeout of type int"));
	CHECK_STR(ck_post(&t, "/sync", "{'path':'P0','timeout':1.5}"),
	          BAD("json: cannot unmarshal number 1.5 into Go struct field SyncRequest.timeout of type int"));
	CHECK_STR(ck_post(&t, "/sync", "{'path':'P0','wait':1}"),
	          BAD("json: cannot unmarshal number into Go struct field SyncRequest.wait of type bool"));
	CHECK_STR(ck_post(&t, "/sync", "[1]"), BAD("json: cannot unmarshal array into Go value of type litestream.SyncRequest"));
	CHECK_STR(ck_post(&t, "/sync", "{'path':'/a\\u0000b'}"), BAD("a text holds a NUL"));
	CHECK_STR(ck_post(&t, "/sync", "{}"), "400 {\"error\":\"path required\"}");
	CHECK_STR(ck_post(&t, "/sync", "null"), "400 {\"error\":\"path required\"}");
	CHECK_STR(ck_post(&t, "/sync", "{'path':'','timeout':null}"), "400 {\"error\":\"path required\"}");
	CHECK_STR(ck_post(&t, "/sync", "{'PATH':'P0','x':1} junk"),
	          "200 {\"status\":\"no_change\",\"path\":\"P0\",\"txid\":1,\"replicated_txid\":1}");
	CHECK_STR(ck_post(&t, "/sync", "{'path':'/q<&>'}"), "404 {\"error\":\"database not found: /q\\u003c\\u0026\\u003e\"}");
	CHECK_STR(ck_post(&t, "/sync", "{'path':'q/../r'}"), "404 {\"error\":\"database not found: /work/r\"}");
	CHECK_STR(ck_post(&t, "/sync", "{'path':'~/r'}"), "404 {\"error\":\"database not found: /home/me/r\"}");
	end();
}

TEST(sync)
{
	BEGIN(1);
	sk_sql(&t.k, 0, "INSERT INTO t VALUES (1, 'x')");
	/* The upload may or may not be over by then. */
	CHECK(strstr(ck_post(&t, "/sync", "{'path':'P0'}"),
	             "200 {\"status\":\"synced_local\",\"path\":\"P0\",\"txid\":2,\"replicated_txid\":"));
	CHECK_STR(ck_post(&t, "/sync", "{'path':'P0'}"),
	          "200 {\"status\":\"no_change\",\"path\":\"P0\",\"txid\":2,\"replicated_txid\":2}");
	sk_sql(&t.k, 0, "INSERT INTO t VALUES (2, 'x')");
	CHECK_STR(ck_post(&t, "/sync", "{'path':'P0','wait':true,'timeout':60}"),
	          "200 {\"status\":\"synced\",\"path\":\"P0\",\"txid\":3,\"replicated_txid\":3}");
	CHECK_STR(ck_post(&t, "/sync", "{'path':'P0','wait':true}"),
	          "200 {\"status\":\"no_change\",\"path\":\"P0\",\"txid\":3,\"replicated_txid\":3}");
	CHECK_STR(ck_post(&t, "/sync", "{'path':'/q'}"), "404 {\"error\":\"database not found: /q\"}");
	t.k.shaky[0][0]->down = true;
	sk_sql(&t.k, 0, "INSERT INTO t VALUES (3, 'x')");
	CHECK(strstr(ck_post(&t, "/sync", "{'path':'P0','wait':true,'timeout':2}"), "500 {\"error\":\"sync database: replica sync: "));
	CHECK_STR(ck_post(&t, "/stop", "{'path':'P0','timeout':1}") + 0 ? "x" : "", "x");
	CHECK(strstr(t.text, "500 {\"error\":\"close database: "));
	CHECK_STR(ck_post(&t, "/sync", "{'path':'P0'}"), "409 {\"error\":\"database not open: P0\"}");
	CHECK_STR(ck_post(&t, "/stop", "{'path':'P0'}"), "200 {\"status\":\"already_stopped\",\"path\":\"P0\",\"txid\":4}");
	end();
}

TEST(start_and_stop)
{
	BEGIN(1);
	CHECK_STR(ck_post(&t, "/start", "{'path':'P0'}"), "200 {\"status\":\"already_running\",\"path\":\"P0\",\"txid\":1}");
	CHECK_STR(ck_post(&t, "/stop", "{'path':'P0'}"), "200 {\"status\":\"stopped\",\"path\":\"P0\",\"txid\":1}");
	CHECK(strstr(ck_get(&t, "/list"), "\"status\":\"stopped\""));
	CHECK_STR(ck_post(&t, "/stop", "{'path':'P0'}"), "200 {\"status\":\"already_stopped\",\"path\":\"P0\",\"txid\":1}");
	CHECK_STR(ck_get(&t, "/txid?path=P0"), "200 {\"txid\":1}");
	CHECK_STR(ck_post(&t, "/start", "{'path':'P0','timeout':-1}"), "200 {\"status\":\"started\",\"path\":\"P0\",\"txid\":1}");
	CHECK(strstr(ck_get(&t, "/list"), "\"status\":\"replicating\""));
	CHECK_STR(ck_post(&t, "/start", "{'path':'/q'}"), "500 {\"error\":\"database not found: /q\"}");
	CHECK_STR(ck_post(&t, "/stop", "{'path':'/q'}"), "500 {\"error\":\"database not found: /q\"}");
	CHECK_STR(ck_post(&t, "/start", "{'path':'/q','config':'/bad.yml'}"),
	          "500 {\"error\":\"failed to load config: read config file: config file not found: /bad.yml\"}");
	CHECK_STR(ck_post(&t, "/start", "{'path':'/tmp/rivulet-q','config':'/good.yml'}"),
	          "200 {\"status\":\"already_running\",\"path\":\"/tmp/rivulet-q\",\"txid\":0}");
	CHECK_STR(t.persisted, "");
	end();
}

TEST(start_and_wait)
{
	BEGIN(1);
	CHECK_STR(ck_post(&t, "/stop", "{'path':'P0'}"), "200 {\"status\":\"stopped\",\"path\":\"P0\",\"txid\":1}");
	sk_sql(&t.k, 0, "INSERT INTO t VALUES (1, 'x')");
	CHECK_STR(ck_post(&t, "/start", "{'path':'P0','wait':true}"), "200 {\"status\":\"started\",\"path\":\"P0\",\"txid\":2}");
	CHECK_STR(ck_post(&t, "/start", "{'path':'P0','wait':true}"), "200 {\"status\":\"already_running\",\"path\":\"P0\",\"txid\":2}");
	CHECK_STR(ck_post(&t, "/start", "{'path':'/tmp/rivulet-missing','config':'/good.yml','wait':true,'timeout':1}"),
	          "504 {\"error\":\"timeout waiting for start\"}");
	end();
}

TEST(persisting)
{
	BEGIN(1);
	t.o.persist = true;
	CHECK(ck_start(&t));
	ck_post(&t, "/start", "{'path':'P0'}");
	ck_post(&t, "/stop", "{'path':'P0'}");
	ck_post(&t, "/stop", "{'path':'/q'}");
	ck_rpc(&t, "{'jsonrpc':'2.0','method':'stop','params':{'path':'P0'}}");
	ck_rpc(&t, "{'jsonrpc':'2.0','method':'start','params':{'path':'P0'}}");
	ck_post(&t, "/start", "{'path':'P0','config':'/good.yml'}");
	CHECK_STR(t.persisted, "on -\noff -\non -\non /good.yml\n");
	end();
}

TEST(persisting_takes_a_while)
{
	int a, b;

	BEGIN(1);
	t.o.persist = t.persist_later = true;
	CHECK(ck_start(&t));
	a = ck_open(&t, "POST", "/stop", "", "{'path':'P0'}");
	CHECK(sk_run(&t.k, SK_SECOND));
	CHECK_STR(ck_read(&t, a), "");
	t.persist_done(t.persist_arg);
	CHECK(strstr(ck_read(&t, a), "\"status\":\"stopped\""));
	/* The client leaves meanwhile. */
	b = ck_open(&t, "POST", "/start", "", "{'path':'P0'}");
	CHECK(sk_run(&t.k, SK_SECOND));
	ck_close(&t, b);
	t.persist_done(t.persist_arg);
	/* The end comes meanwhile: the answer is given, what is written down goes on. */
	b = ck_open(&t, "POST", "/control/", "", "{'jsonrpc':'2.0','method':'stop','params':['P0'],'id':1}");
	CHECK(sk_run(&t.k, SK_SECOND));
	control_stop(t.c);
	CHECK(strstr(ck_read(&t, b), "\"result\":{\"status\":\"stopped\""));
	t.persist_done(t.persist_arg);
	end();
}

TEST(registering)
{
	BEGIN(0);
	CHECK_STR(ck_post(&t, "/register", "{'path':'/tmp/rivulet-n','replica_url':'file:///tmp/rivulet-b'}"),
	          "200 {\"status\":\"registered\",\"path\":\"/tmp/rivulet-n\"}");
	CHECK_STR(ck_post(&t, "/register", "{'path':'/tmp/rivulet-n','replica_url':'x'}"),
	          "200 {\"status\":\"already_registered\",\"path\":\"/tmp/rivulet-n\"}");
	CHECK_STR(ck_post(&t, "/register", "{'path':'/tmp/rivulet-n','replica_url':'x','strict':true}"),
	          "409 {\"error\":\"database already registered\"}");
	CHECK_STR(ck_post(&t, "/register", "{'path':'/n'}"), "400 {\"error\":\"replica_url required\"}");
	CHECK_STR(ck_post(&t, "/register", "{'replica_url':''}"), "400 {\"error\":\"path required\"}");
	CHECK(strstr(ck_post(&t, "/register", "{'path':'/n','replica_url':'/no/scheme'}"), "400 {\"error\":\"invalid replica url: "));
	CHECK_STR(ck_get(&t, "/list"), "200 {\"databases\":[{\"path\":\"/tmp/rivulet-n\",\"status\":\"replicating\"}]}");
	CHECK_STR(ck_post(&t, "/unregister", "{'path':'/tmp/rivulet-n'}"),
	          "200 {\"status\":\"unregistered\",\"path\":\"/tmp/rivulet-n\",\"txid\":0}");
	CHECK_STR(ck_post(&t, "/unregister", "{'path':'/tmp/rivulet-n'}"),
	          "200 {\"status\":\"already_unregistered\",\"path\":\"/tmp/rivulet-n\",\"txid\":0}");
	CHECK_STR(ck_get(&t, "/list"), "200 {\"databases\":[]}");
	end();
}

TEST(waiting)
{
	int a, b;

	BEGIN(1);
	CHECK_STR(ck_post(&t, "/wait", "{'path':'P0'}"),
	          "200 {\"status\":\"replicated\",\"path\":\"P0\",\"txid\":1,\"replicated_txid\":1}");
	sk_sql(&t.k, 0, "INSERT INTO t VALUES (1, 'x')");
	CHECK_STR(ck_post(&t, "/wait", "{'path':'P0'}"),
	          "200 {\"status\":\"replicated\",\"path\":\"P0\",\"txid\":2,\"replicated_txid\":2}");
	CHECK_STR(ck_post(&t, "/wait", "{'path':'P0','txid':1}"),
	          "200 {\"status\":\"replicated\",\"path\":\"P0\",\"txid\":1,\"replicated_txid\":2}");
	CHECK_STR(ck_post(&t, "/wait", "{'path':'P0','txid':9,'timeout':2}"),
	          "504 {\"error\":\"timeout waiting for replication\",\"details\":\"txid 2 of 9\"}");
	CHECK(strstr(ck_post(&t, "/wait", "{'path':'P0','txid':-1}"), "400 {\"error\":\"invalid request body\""));
	CHECK_STR(ck_post(&t, "/wait", "{'path':'/q'}"), "404 {\"error\":\"database not found: /q\"}");
	/* One that leaves is forgotten, the other gets its answer. */
	a = ck_open(&t, "POST", "/wait", "", "{'path':'P0','txid':3}");
	b = ck_open(&t, "POST", "/wait", "", "{'path':'P0','txid':3}");
	CHECK_STR(ck_read(&t, a), "");
	ck_close(&t, a);
	sk_sql(&t.k, 0, "INSERT INTO t VALUES (2, 'x')");
	CHECK(sk_run(&t.k, 3 * SK_SECOND));
	CHECK(strstr(ck_read(&t, b), "\"txid\":3,\"replicated_txid\":3}"));
	ck_post(&t, "/stop", "{'path':'P0'}");
	CHECK_STR(ck_post(&t, "/wait", "{'path':'P0'}"), "409 {\"error\":\"database not open: P0\"}");
	end();
}

TEST(a_client_that_hangs_up_cancels_nothing)
{
	int a;

	BEGIN(1);
	a = ck_open(&t, "POST", "/stop", "", "{'path':'P0'}");
	ck_close(&t, a);
	CHECK(sk_run(&t.k, 2 * SK_SECOND));
	CHECK(strstr(ck_get(&t, "/list"), "\"status\":\"stopped\""));
	end();
}

TEST(stopping_answers_everybody)
{
	int wait, stream, batch;

	BEGIN(1);
	wait = ck_open(&t, "POST", "/wait", "", "{'path':'P0','txid':9}");
	stream = ck_open(&t, "GET", "/events", "", NULL);
	batch = ck_open(&t, "POST", "/control/", "", "[{'jsonrpc':'2.0','method':'wait','params':['P0',9],'id':1},"
	                                             "{'jsonrpc':'2.0','method':'list','id':2}]");
	ck_read(&t, stream);
	control_stop(t.c);
	CHECK(strstr(ck_read(&t, wait), "500 Internal Server Error"));
	CHECK_STR(ck_read(&t, stream), "0\r\n\r\n");
	CHECK_STR(ck_read(&t, stream), "<end>");
	CHECK(strstr(ck_read(&t, batch), "\"id\":1},{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32603,"));
	CHECK(!control_busy(t.c));
	end();
}

/* ---- JSON-RPC ---- */

TEST(rpc_methods)
{
	BEGIN(1);
#define CALL(method, params) "{'jsonrpc':'2.0','method':'" method "','params':" params ",'id':1}"
#define RESULT(value) "200 {\"jsonrpc\":\"2.0\",\"result\":" value ",\"id\":1}"
#define REFUSED(code, text) "200 {\"jsonrpc\":\"2.0\",\"error\":{\"code\":" code ",\"message\":\"" text "\"},\"id\":1}"
	CHECK_STR(ck_rpc(&t, "{'jsonrpc':'2.0','method':'list','id':1}"), RESULT("[{\"path\":\"P0\",\"status\":\"open\"}]"));
	CHECK_STR(ck_rpc(&t, CALL("databases", "[]")), RESULT("[{\"path\":\"P0\",\"status\":\"open\"}]"));
	CHECK_STR(ck_rpc(&t, CALL("status", "{'path':'P0'}")), RESULT("{\"path\":\"P0\",\"status\":\"open\"}"));
	CHECK_STR(ck_rpc(&t, CALL("start", "['P0']")), REFUSED("-32001", "database already enabled: P0"));
	CHECK_STR(ck_rpc(&t, CALL("stop", "{'path':'P0'}")), RESULT("{\"status\":\"stopped\",\"path\":\"P0\"}"));
	CHECK_STR(ck_rpc(&t, CALL("stop", "{'path':'P0'}")), REFUSED("-32001", "database already disabled: P0"));
	CHECK_STR(ck_rpc(&t, CALL("status", "['P0']")), RESULT("{\"path\":\"P0\",\"status\":\"closed\"}"));
	CHECK_STR(ck_rpc(&t, CALL("sync", "['P0']")), REFUSED("-32001", "sync failed: database not open: P0"));
	sk_sql(&t.k, 0, "INSERT INTO t VALUES (1, 'x')");
	CHECK_STR(ck_rpc(&t, CALL("start", "['P0',true,10]")), RESULT("{\"status\":\"started\",\"path\":\"P0\"}"));
	CHECK_STR(ck_rpc(&t, CALL("sync", "['P0',true]")),
	          RESULT("{\"status\":\"synced\",\"path\":\"P0\",\"txid\":2,\"replicated_txid\":2,\"changed\":false}"));
	CHECK_STR(ck_rpc(&t, CALL("txid", "['P0']")), RESULT("{\"txid\":2}"));
	CHECK_STR(ck_rpc(&t, CALL("wait", "{'path':'P0'}")),
	          RESULT("{\"status\":\"replicated\",\"path\":\"P0\",\"txid\":2,\"replicated_txid\":2}"));
	CHECK_STR(ck_rpc(&t, CALL("wait", "['P0',7,1]")),
	          "200 {\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32004,\"message\":\"timeout waiting for replication\","
	          "\"data\":\"txid 2 of 7\"},\"id\":1}");
	CHECK_STR(ck_rpc(&t, CALL("status", "['/q']")), REFUSED("-32001", "database not found: /q"));
	CHECK_STR(ck_rpc(&t, CALL("start", "['/q']")), REFUSED("-32001", "database not found: /q"));
	CHECK_STR(ck_rpc(&t, CALL("start", "['/q',true,1,'/bad.yml']")),
	          REFUSED("-32001", "failed to load config: read config file: config file not found: /bad.yml"));
	CHECK_STR(ck_rpc(&t, CALL("start", "['/tmp/rivulet-none',true,1,'/good.yml']")),
	          REFUSED("-32001", "database already enabled: /tmp/rivulet-none"));
	CHECK_STR(ck_rpc(&t, CALL("register", "['/tmp/rivulet-m']")), REFUSED("-32602", "replica_url required"));
	CHECK_STR(ck_rpc(&t, CALL("unregister", "['/tmp/rivulet-none']")),
	          RESULT("{\"status\":\"unregistered\",\"path\":\"/tmp/rivulet-none\",\"txid\":0}"));
	CHECK(strstr(ck_rpc(&t, CALL("info", "null")), "\"config_path\":\"/c.yml\",\"socket_path\":\"/s.sock\",\"http_addr\":\"\","
	             "\"persist_to_config\":false,\"databases\":1,\"open_databases\":1,\"started_at\":\"2023-11-14T22:13:20Z\"}"));
	end();
}

TEST(rpc_envelope)
{
	BEGIN(1);
#define ERROR(code, text, id) "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":" code ",\"message\":\"" text "\"},\"id\":" id "}"
	CHECK_STR(ck_rpc(&t, "{bad"), "400 " ERROR("-32700", "Parse error", "null"));
	CHECK_STR(ck_rpc(&t, ""), "400 " ERROR("-32700", "Parse error", "null"));
	CHECK_STR(ck_rpc(&t, "[]"), "200 " ERROR("-32600", "Invalid Request", "null"));
	CHECK_STR(ck_rpc(&t, "[1,2]"), "200 [" ERROR("-32600", "Invalid Request", "null") "," ERROR("-32600", "Invalid Request", "null") "]");
	CHECK_STR(ck_rpc(&t, "5"), "200 " ERROR("-32600", "Invalid Request", "null"));
	CHECK_STR(ck_rpc(&t, "{'method':'list','id':7}"), "200 " ERROR("-32600", "Invalid Request", "7"));
	CHECK_STR(ck_rpc(&t, "{'jsonrpc':2.0,'method':'list','id':7}"), "200 " ERROR("-32600", "Invalid Request", "7"));
	CHECK_STR(ck_rpc(&t, "{'jsonrpc':'2.0','method':5,'id':7}"), "200 " ERROR("-32600", "Invalid Request", "7"));
	CHECK_STR(ck_rpc(&t, "{'jsonrpc':'2.0','method':'list','id':[7]}"), "200 " ERROR("-32600", "Invalid Request", "null"));
	CHECK_STR(ck_rpc(&t, "{'jsonrpc':'2.0','method':'nope','id':'a\\u0062'}"),
	          "200 " ERROR("-32601", "Method not found", "\"a\\u0062\""));
	CHECK_STR(ck_rpc(&t, "{'jsonrpc':'2.0','method':'nope','id':1.50e3}"), "200 " ERROR("-32601", "Method not found", "1.50e3"));
	CHECK_STR(ck_rpc(&t, "{'jsonrpc':'2.0','method':'nope','id':null}"), "200 " ERROR("-32601", "Method not found", "null"));
	CHECK_STR(ck_rpc(&t, "{'jsonrpc':'2.0','method':'start','id':1}"), "200 " ERROR("-32602", "path required", "1"));
	CHECK(strstr(ck_rpc(&t, "{'jsonrpc':'2.0','method':'start','params':'x','id':1}"), "\"code\":-32602,\"message\":\"Invalid params\",\"data\":"));
	CHECK(strstr(ck_rpc(&t, "{'jsonrpc':'2.0','method':'start','params':{'path':1},'id':1}"), "\"code\":-32602,\"message\":\"Invalid params\",\"data\":"));
	CHECK(strstr(ck_rpc(&t, "{'jsonrpc':'2.0','method':'stop','params':['P0',1,2],'id':1}"), "\"code\":-32602,\"message\":\"Invalid params\",\"data\":"));
	/* Notifications. */
	CHECK_STR(ck_rpc(&t, "{'jsonrpc':'2.0','method':'list'}"), "204 ");
	CHECK_STR(ck_rpc(&t, "{'jsonrpc':'2.0','method':'nope'}"), "204 ");
	CHECK_STR(ck_rpc(&t, "[{'jsonrpc':'2.0','method':'stop','params':['P0']},{'jsonrpc':'2.0','method':'start'}]"), "204 ");
	CHECK(strstr(ck_get(&t, "/list"), "stopped"));
	CHECK_STR(ck_rpc(&t, "[{'jsonrpc':'2.0','method':'start','params':['P0'],'id':1},{'jsonrpc':'2.0','method':'status','params':['P0'],'id':2},"
	                     "{'jsonrpc':'2.0','method':'stop','params':['P0']},{'jsonrpc':'2.0','method':'status','params':['P0'],'id':3},"
	                     "{'jsonrpc':'2.0','method':'nope','id':4}]"),
	          "200 [{\"jsonrpc\":\"2.0\",\"result\":{\"status\":\"started\",\"path\":\"P0\"},\"id\":1},"
	          "{\"jsonrpc\":\"2.0\",\"result\":{\"path\":\"P0\",\"status\":\"open\"},\"id\":2},"
	          "{\"jsonrpc\":\"2.0\",\"result\":{\"path\":\"P0\",\"status\":\"closed\"},\"id\":3}," ERROR("-32601", "Method not found", "4") "]");
	end();
}

TEST(rpc_transports)
{
	int a;

	BEGIN(1);
	CHECK_STR(ck_raw(&t, "\n {'jsonrpc':'2.0','method':'list','id':1}"),
	          "{\"jsonrpc\":\"2.0\",\"result\":[{\"path\":\"P0\",\"status\":\"open\"}],\"id\":1}\n");
	CHECK_STR(ck_raw(&t, "{bad"), ERROR("-32700", "Parse error", "null") "\n");
	CHECK_STR(ck_raw(&t, "[{'jsonrpc':'2.0','method':'list'}]\n"), "");
	CHECK_STR(ck_post(&t, "/control", "{'jsonrpc':'2.0','method':'nope','id':1}"), "200 " ERROR("-32601", "Method not found", "1"));
	CHECK_STR(ck_post(&t, "/control/a/b", "{'jsonrpc':'2.0','method':'nope','id':1}"), "200 " ERROR("-32601", "Method not found", "1"));
	a = ck_open(&t, "POST", "/control/", "Origin: http://evil\r\n", "{'jsonrpc':'2.0','method':'stop','params':['P0']}");
	CHECK(strstr(ck_read(&t, a), "403 Forbidden"));
	CHECK(strstr(ck_get(&t, "/list"), "replicating"));
	/* A client that does not wait: all is done nevertheless. */
	a = ck_open(&t, "POST", "/control/", "", "[{'jsonrpc':'2.0','method':'sync','params':['P0',true],'id':1},{'jsonrpc':'2.0','method':'stop','params':['P0']}]");
	ck_close(&t, a);
	CHECK(sk_run(&t.k, 2 * SK_SECOND));
	CHECK(strstr(ck_get(&t, "/list"), "stopped"));
	end();
}

TEST(a_large_batch)
{
	static char text[64 << 10];
	size_t n = 1;
	int answers = 0;

	BEGIN(1);
	text[0] = '[';
	for (int i = 0; i < 1000; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s{'jsonrpc':'2.0','method':'q','id':1}", i ? "," : "");
	strcpy(text + n, "]");
	t.text[0] = 0;
	ck_rpc(&t, text);
	for (const char *s = t.text; (s = strstr(s, "-32601")) != NULL; s++)
		answers++;
	CHECK_INT(answers, 1000);
	end();
}

/* ---- events ---- */

TEST(events)
{
	int all, one, sse;

	BEGIN(2);
	/* The first snapshot and the first file of level 1 come after a jitter that each path has of its own: not within this. */
	CHECK(sk_run(&t.k, 50 * (int64_t)SK_SECOND));
	all = ck_open(&t, "GET", "/events", "", NULL);
	CHECK(strstr(ck_read(&t, all), "Content-Type: application/x-ndjson\r\n"));
	CHECK(strstr(t.text, "\"event\":\"state\",\"path\":\"P0\",\"status\":\"replicating\",\"txid\":1,\"replicated_txid\":1,\"lag_ms\":0,\"wal_size\":"));
	CHECK(strstr(t.text, "\"event\":\"state\",\"path\":\"P1\""));
	{
		char target[500];

		snprintf(target, sizeof(target), "/events?path=%s", t.k.g[1].path);
		one = ck_open(&t, "GET", target, "", NULL);
	}
	CHECK(!strstr(ck_read(&t, one), "P0"));
	sse = ck_open(&t, "GET", "/events", "Accept: text/event-stream\r\n", NULL);
	CHECK(strstr(ck_read(&t, sse), "Content-Type: text/event-stream\r\n"));
	CHECK(strstr(t.text, "event: state\ndata: {\"time\":\"2023-"));
	sk_sql(&t.k, 0, "INSERT INTO t VALUES (1, 'x')");
	CHECK(sk_run(&t.k, 3 * SK_SECOND));
	CHECK(strstr(ck_read(&t, all), "\"event\":\"synced\",\"path\":\"P0\",\"status\":\"replicating\",\"txid\":2,"));
	CHECK(strstr(t.text, "\"event\":\"replicated\",\"path\":\"P0\",\"status\":\"replicating\",\"txid\":2,\"replicated_txid\":2,"));
	CHECK_STR(ck_read(&t, one), "");
	CHECK(strstr(ck_read(&t, sse), "event: synced\ndata: {"));
	ck_post(&t, "/stop", "{'path':'P1'}");
	CHECK(sk_run(&t.k, SK_SECOND));
	CHECK(strstr(ck_read(&t, one), "\"event\":\"stopped\",\"path\":\"P1\",\"status\":\"stopped\""));
	ck_post(&t, "/unregister", "{'path':'P1'}");
	CHECK(sk_run(&t.k, SK_SECOND));
	CHECK(strstr(ck_read(&t, one), "\"event\":\"unregistered\",\"path\":\"P1\""));
	t.k.shaky[0][0]->down = true;
	sk_sql(&t.k, 0, "INSERT INTO t VALUES (2, 'x')");
	ck_read(&t, all);
	CHECK(sk_run(&t.k, 3 * SK_SECOND));
	CHECK(strstr(ck_read(&t, all), "\"event\":\"error\",\"path\":\"P0\""));
	CHECK(strstr(t.text, "\"error\":\"the network is down\"}") || strstr(t.text, "the network is down"));
	end();
}

/* What happens to a database between its being forgotten and its end is told while it can be asked. */
TEST(events_of_a_database_that_goes)
{
	int a;

	BEGIN(1);
	a = ck_open(&t, "GET", "/events", "", NULL);
	ck_read(&t, a);
	sk_sql(&t.k, 0, "INSERT INTO t VALUES (1, 'x')");
	CHECK(strstr(ck_post(&t, "/unregister", "{'path':'P0'}"), "\"status\":\"unregistered\""));
	CHECK(sk_run(&t.k, SK_SECOND));
	CHECK(strstr(ck_read(&t, a), "\"event\":\"unregistered\""));
	CHECK(strstr(t.text, "\"event\":\"stopped\""));
	end();
}

TEST(events_of_a_quiet_daemon)
{
	int a;

	BEGIN(1);
	CHECK(sk_run(&t.k, 200 * (int64_t)SK_SECOND));
	a = ck_open(&t, "GET", "/events", "", NULL);
	ck_read(&t, a);
	CHECK(sk_run(&t.k, 16 * SK_SECOND));
	CHECK_STR(ck_read(&t, a), "1\r\n\n\r\n");
	ck_close(&t, a);
	a = ck_open(&t, "GET", "/events", "Accept: text/event-stream\r\n", NULL);
	ck_read(&t, a);
	CHECK(sk_run(&t.k, 16 * SK_SECOND));
	CHECK_STR(ck_read(&t, a), "3\r\n:\n\n\r\n");
	end();
}

TEST(a_reader_of_events_that_does_not_keep_up)
{
	int a, rounds = 0;
	bool lagged = false;

	BEGIN(1);
	a = ck_open(&t, "GET", "/events", "", NULL);
	for (int i = 0; i < 1200; i++) { /* some 250 bytes each: socket buffer and ours are full */
		ck_post(&t, "/stop", "{'path':'P0'}");
		ck_post(&t, "/start", "{'path':'P0'}");
		CHECK(sk_run(&t.k, 100000));
	}
	while (rounds++ < 2000 && *ck_read(&t, a))
		;
	ck_post(&t, "/stop", "{'path':'P0'}");
	CHECK(sk_run(&t.k, 100000));
	lagged = strstr(ck_read(&t, a), "\"event\":\"lagged\",\"dropped\":") != NULL;
	CHECK(lagged);
	CHECK(strstr(t.text, "\"event\":\"stopped\""));
	end();
}

TEST(many_readers_of_events_come_and_go)
{
	BEGIN(1);
	for (int i = 0; i < 50; i++) {
		int a = ck_open(&t, "GET", "/events", "", NULL), b = ck_open(&t, "GET", "/events", "", NULL);

		sk_sql(&t.k, 0, "UPDATE t SET b = randomblob(10)");
		CHECK(sk_run(&t.k, 100000));
		ck_close(&t, i % 2 ? a : b);
		CHECK(sk_run(&t.k, 100000));
		ck_close(&t, i % 2 ? b : a);
	}
	CHECK(!control_busy(t.c));
	end();
}

TEST_MAIN
