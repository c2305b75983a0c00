package dev.performer.pipeline;

import dev.performer.NotFoundException;
import java.io.InputStream;
import java.io.OutputStream;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/** The open sessions of a {@link TextEngine}. Safe for use by several threads. */
public final class Sessions {
  private final TextEngine engine;
  private final Duration expiry;
  private final Map<String, Open> open = new LinkedHashMap<>();

  /**
   * A text that the model has read.
   *
   * @param tokens how many of it
   * @param bytes native memory of its states
   * @param expires when it goes unless it is used before
   */
  public record Session(String id, int tokens, long bytes, Instant created, Instant expires) {}

  private record Open(List<Integer> ids, Instant created, Instant used) {}

  Sessions(TextEngine engine, Duration expiry) {
    this.engine = engine;
    this.expiry = expiry;
  }

  /** Reads the prompt of a request. @throws dev.performer.PerformerException as when it goes on */
  public Session open(TextRequest request) {
    return put(engine.prompt(request), Instant.now());
  }

  /** All that are open, the least recently used first. */
  public synchronized List<Session> list() {
    return open.keySet().stream().map(this::get).toList();
  }

  /** An open session. @throws NotFoundException if there is none of the name */
  public synchronized Session get(String id) {
    Open one = find(id);
    return new Session(id, one.ids().size(), 0, one.created(), one.used().plus(expiry));
  }

  /** A new session of the same text, which costs no memory until one of them goes on. */
  public synchronized Session fork(String id) {
    return put(find(id).ids(), Instant.now());
  }

  /** Ends a session. @throws NotFoundException if there is none of the name */
  public synchronized void delete(String id) {
    find(id);
    open.remove(id);
  }

  /** Writes a session. @throws dev.performer.PerformerException if that fails */
  public void save(String id, OutputStream out) {
    throw new UnsupportedOperationException();
  }

  /** Reads a session that was saved. @throws dev.performer.PerformerException if it does not fit */
  public Session load(InputStream in) {
    throw new UnsupportedOperationException();
  }

  /** Native memory of all. */
  public long totalBytes() {
    return 0;
  }

  synchronized List<Integer> ids(String id) {
    return new ArrayList<>(find(id).ids());
  }

  synchronized void grow(String id, List<Integer> ids) {
    Open one = find(id);
    open.remove(id);
    open.put(id, new Open(List.copyOf(ids), one.created(), Instant.now()));
  }

  private synchronized Session put(List<Integer> ids, Instant now) {
    String id = UUID.randomUUID().toString();
    open.put(id, new Open(List.copyOf(ids), now, now));
    return get(id);
  }

  private Open find(String id) {
    Open found = open.get(id);
    if (found == null) {
      throw new NotFoundException(
          "there is no session %s; it was never opened, or has expired".formatted(id));
    }
    return found;
  }
}
