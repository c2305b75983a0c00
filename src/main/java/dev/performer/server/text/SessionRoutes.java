package dev.performer.server.text;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.NotFoundException;
import dev.performer.pipeline.Sessions;
import dev.performer.pipeline.Sessions.Session;
import dev.performer.pipeline.TextEngine;
import dev.performer.pipeline.TextRequest;
import dev.performer.server.generation.RequestSchemas;
import dev.performer.server.http.Call;
import dev.performer.server.http.Fields;
import dev.performer.server.http.Json;
import dev.performer.server.http.Refusal;
import dev.performer.server.http.Routes;
import dev.performer.server.http.Schema;
import dev.performer.server.models.Lease;
import dev.performer.server.models.Version;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;

/**
 * Sessions over HTTP: texts that a model has read, whose states stay on the server. An id ends with
 * the version of the model, so that a session goes on with its own where newer ones are loaded.
 */
final class SessionRoutes {
  private static final String OCTETS = "application/octet-stream";

  private final TextApi api;
  private final Optional<SessionFolder> folder;
  private final Function<Call, Version> version;

  /**
   * @param version that a call's path names
   */
  SessionRoutes(TextApi api, Optional<SessionFolder> folder, Function<Call, Version> version) {
    this.api = api;
    this.folder = folder;
    this.version = version;
  }

  void mount(Routes routes, String path) {
    String one = path + "/{session}";
    routes.get(path, this::list).summary("Lists open sessions.");
    routes
        .post(path, this::open)
        .summary("Reads a prompt, and keeps its states.")
        .request(Schema.require(Schema.object(), "prompt", RequestSchemas.prompt()))
        .response(Schema.object());
    routes
        .post(path + ":load", this::load)
        .summary("Opens a session that was saved: a file, or JSON with the name of one.")
        .request(OCTETS)
        .response(Schema.object());
    routes.get(one, call -> on(call, Sessions::get)).summary("Describes a session.");
    routes.delete(one, this::delete).summary("Ends a session.");
    routes
        .post(one + ":fork", call -> on(call, Sessions::fork))
        .summary("Opens another session of the same text.");
    routes
        .post(one + ":generate", this::generate)
        .summary("Adds to a session's text, and continues it.")
        .request(TextApi.generateSchema(false))
        .response(Schema.object());
    routes
        .get(one + ":save", this::download)
        .summary("Gives a session as a file.")
        .response(OCTETS, Schema.of("string", "The session."));
    routes
        .post(one + ":save", this::save)
        .summary("Saves a session by a name on the server.")
        .request(Schema.require(Schema.object(), "name", Schema.of("string", "No path.")))
        .response(Schema.object());
  }

  /** A session of the version that its id ends with. */
  private record Place(Lease lease, String id) implements AutoCloseable {
    Sessions sessions() {
      return TextApi.engine(lease.model()).sessions();
    }

    @Override
    public void close() {
      lease.close();
    }
  }

  private Place place(Call call) {
    String shown = call.parameter("session");
    int end = shown.lastIndexOf('.');
    String number = shown.substring(end + 1);
    boolean isOurs = end > 0 && number.matches("\\d{1,18}");
    if (!isOurs) {
      throw new NotFoundException("there is no session " + shown);
    }
    try {
      return new Place(
          api.lease(call, Version.of(Long.parseLong(number))), shown.substring(0, end));
    } catch (NotFoundException e) {
      api.lease(call, version.apply(call)).close(); // whether the model is there at all
      throw new NotFoundException(
          "there is no session %s: version %s of the model is not loaded".formatted(shown, number));
    }
  }

  private interface Step {
    Session of(Sessions sessions, String id);
  }

  private void on(Call call, Step step) {
    try (Place place = place(call)) {
      call.respond(200, shown(place.lease(), step.of(place.sessions(), place.id())));
    }
  }

  private static ObjectNode shown(Lease lease, Session session) {
    return Json.object()
        .put("id", session.id() + "." + lease.model().version())
        .put("model", lease.model().name())
        .put("version", lease.model().version())
        .put("tokens", session.tokens())
        .put("bytes", session.bytes())
        .put("created", session.created().toString())
        .put("expires", session.expires().toString());
  }

  /** Null where it ended while its text went on. */
  static ObjectNode shownIfOpen(Lease lease, TextEngine engine, String id) {
    try {
      return shown(lease, engine.sessions().get(id));
    } catch (NotFoundException e) {
      return null;
    }
  }

  private void list(Call call) {
    try (Lease lease = api.lease(call, version.apply(call))) {
      Sessions sessions = TextApi.engine(lease.model()).sessions();
      ObjectNode answer = Json.object();
      ArrayNode all = answer.putArray("sessions");
      sessions.list().forEach(session -> all.add(shown(lease, session)));
      call.respond(200, answer.put("bytes", sessions.totalBytes()));
    }
  }

  private void open(Call call) {
    Fields fields = new Fields(call.json(), List.of("prompt"));
    var prompts = fields.prompts("prompt", 1);
    try (Lease lease = api.lease(call, version.apply(call))) {
      var prompt = prompts.get(0);
      TextRequest request =
          prompt.text() != null ? TextRequest.of(prompt.text()) : TextRequest.ofIds(prompt.ids());
      TextEngine engine = TextApi.engine(lease.model());
      api.requireShort(engine, prompts);
      Session session =
          engine
              .sessions()
              .open(request.withDeadline(call.deadline()), ticket -> call.onCancel(ticket::cancel));
      call.respond(200, shown(lease, session));
    }
  }

  private void delete(Call call) {
    try (Place place = place(call)) {
      place.sessions().delete(place.id());
      call.respond(200, Json.object().put("id", call.parameter("session")).put("deleted", true));
    }
  }

  private void generate(Call call) {
    Fields fields = TextApi.fields(call);
    var none = new Fields.Prompt(null, List.of());
    var more = fields.has("prompt") ? fields.prompts("prompt", 1) : List.of(none);
    Place place = place(call);
    api.generate(call, place.lease(), fields, more, place.id());
  }

  private void download(Call call) {
    try (Place place = place(call)) {
      var out = new ByteArrayOutputStream();
      place.sessions().save(place.id(), out);
      call.respond(200, OCTETS, out.toByteArray());
    }
  }

  private SessionFolder folder() {
    String none =
        "this server has no folder for sessions; download a session, and upload it to load it again";
    return folder.orElseThrow(() -> new Refusal(400, none));
  }

  private void save(Call call) {
    Fields fields = new Fields(call.json(), List.of("name"));
    fields.required("name");
    String name = fields.text("name");
    SessionFolder saved = folder();
    try (Place place = place(call)) {
      saved.write(name, out -> place.sessions().save(place.id(), out));
      call.respond(200, Json.object().put("name", name));
    }
  }

  private void load(Call call) {
    byte[] body = call.body();
    boolean isNamed = body.length > 0 && body[0] == '{'; // as no session begins
    try (Lease lease = api.lease(call, version.apply(call))) {
      Sessions sessions = TextApi.engine(lease.model()).sessions();
      Session session;
      if (isNamed) {
        Fields fields = new Fields(call.json(), List.of("name"));
        fields.required("name");
        session = folder().read(fields.text("name"), sessions::load);
      } else {
        session = sessions.load(new ByteArrayInputStream(body));
      }
      call.respond(200, shown(lease, session));
    }
  }
}
