package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.AtomicFiles;
import dev.performer.BusyException;
import dev.performer.NotFoundException;
import dev.performer.PerformerException;
import dev.performer.serving.GenerationSession;
import dev.performer.serving.GenerationSession.Saved;
import dev.performer.serving.TextState;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * The open sessions of a {@link TextEngine}: texts whose states are kept, so that they go on
 * without being read again. One that is unused for long, or the least recently used one where
 * memory is short, goes. Safe for use by several threads.
 */
public final class Sessions {
  private final TextEngine engine;
  private final GenerationSession model;
  private final Supplier<String> fingerprint;
  private final EngineOptions options;
  private final Map<String, Open> open = new LinkedHashMap<>(); // the least recently used first
  private final Map<TextState, Integer> users = new IdentityHashMap<>(); // forks share states
  private long bytes;
  private boolean closed;

  /**
   * A text that the model has read.
   *
   * @param tokens how many it has
   * @param bytes memory of its states, which forks share until they go on
   * @param expires when it goes unless it is used before
   */
  public record Session(String id, int tokens, long bytes, Instant created, Instant expires) {}

  private record Open(Saved text, Instant created, Instant used, boolean isBusy) {}

  Sessions(
      TextEngine engine,
      GenerationSession model,
      Supplier<String> fingerprint,
      EngineOptions options) {
    this.engine = engine;
    this.model = model;
    this.fingerprint = fingerprint;
    this.options = options;
  }

  /**
   * Reads the prompt of a request, in the batch of the engine, and waits for that.
   *
   * @throws PerformerException as when it goes on, or if its states exceed the memory of sessions
   */
  public Session open(TextRequest request) {
    return open(request, ticket -> {});
  }

  /**
   * The same.
   *
   * @param begun receives what ends the reading early
   * @throws PerformerException as above, or if it was cancelled
   */
  public Session open(TextRequest request, Consumer<TextEngine.Ticket> begun) {
    require(request.session() == null, "a session goes on by a request, and is open already");
    return put(engine.read(request, begun));
  }

  /** All that are open, the least recently used first. */
  public synchronized List<Session> list() {
    expire();
    return open.keySet().stream().map(id -> session(id, open.get(id))).toList();
  }

  /** An open session, which is no use of it. @throws NotFoundException if none has the name */
  public synchronized Session get(String id) {
    return session(id, find(id));
  }

  /** A new session of the same text. @throws NotFoundException if none has the name */
  public synchronized Session fork(String id) {
    Open one = find(id);
    touch(id, one.isBusy());
    return put(new Saved(one.text().state().share(), one.text().ids()));
  }

  /** Ends a session; a text that goes on with it is not kept. */
  public synchronized void delete(String id) {
    find(id);
    remove(id);
  }

  /**
   * Writes a session as it is.
   *
   * @throws NotFoundException if none has the name
   * @throws PerformerException if it cannot be written
   */
  public void save(String id, OutputStream out) {
    Saved text;
    synchronized (this) {
      Open one = find(id);
      touch(id, one.isBusy());
      text = new Saved(one.text().state().share(), one.text().ids());
    }
    try (TextState state = text.state()) {
      model.save(text, fingerprint.get(), out);
    } catch (IOException e) {
      throw new PerformerException("the session cannot be written: " + AtomicFiles.describe(e), e);
    }
  }

  /** The same to a file, which is whole or as it was. */
  public void save(String id, Path file) {
    try {
      AtomicFiles.write(file, out -> save(id, out));
    } catch (IOException e) {
      throw new PerformerException(file + ": cannot be written: " + AtomicFiles.describe(e), e);
    }
  }

  /**
   * Opens a session that was saved.
   *
   * @throws PerformerException if it is damaged, of another model, or exceeds the memory of
   *     sessions
   */
  public Session load(InputStream in) {
    return put(model.restore(fingerprint.get(), in));
  }

  /** The same of a file. @throws NotFoundException if there is none */
  public Session load(Path file) {
    if (!Files.isRegularFile(file)) {
      throw new NotFoundException(file + ": is no file of a session");
    }
    try (InputStream in = new BufferedInputStream(Files.newInputStream(file))) {
      return load(in);
    } catch (PerformerException e) {
      throw e.in(file);
    } catch (IOException e) {
      throw new PerformerException(file + ": cannot be read: " + AtomicFiles.describe(e), e);
    }
  }

  /** Memory of all states; what forks share counts once. */
  public synchronized long totalBytes() {
    expire();
    return bytes;
  }

  synchronized int size() {
    return open.size();
  }

  /** Begins to go on with a session, which nothing else does until {@link #end}. */
  synchronized Saved begin(String id) {
    Open one = find(id);
    if (one.isBusy()) {
      throw new BusyException("the session %s goes on already; wait for that".formatted(id));
    }
    touch(id, true);
    return new Saved(one.text().state().share(), one.text().ids());
  }

  /** Ends what {@link #begin} began. @param longer how it went on; empty where it stays */
  synchronized void end(String id, Optional<Saved> longer) {
    Open one = open.get(id);
    if (one == null) { // deleted in the meantime
      longer.ifPresent(text -> text.state().close());
      return;
    }
    touch(id, false); // it can go on again, whatever follows
    if (longer.isEmpty()) {
      return;
    }
    requireSmall(longer.get().state());
    remove(id);
    add(id, new Open(longer.get(), one.created(), Instant.now(), false));
  }

  private synchronized Session put(Saved text) {
    requireSmall(text.state());
    if (closed) {
      text.state().close();
      throw TextEngine.closed();
    }
    String id = UUID.randomUUID().toString();
    Instant now = Instant.now();
    Open one = new Open(text, now, now, false);
    add(id, one);
    return session(id, one);
  }

  private void requireSmall(TextState state) {
    long size = state.bytes();
    if (size > options.sessionBytes()) {
      state.close();
      String text = "the states of the session take %d bytes, but all sessions may take %d";
      throw new PerformerException(text.formatted(size, options.sessionBytes()));
    }
  }

  private void add(String id, Open one) {
    open.put(id, one);
    TextState state = one.text().state();
    bytes += users.merge(state, 1, Integer::sum) == 1 ? state.bytes() : 0;
    var idle = new ArrayList<>(open.keySet());
    idle.removeIf(other -> other.equals(id) || open.get(other).isBusy());
    for (String other : idle) {
      if (bytes > options.sessionBytes()) {
        remove(other);
      }
    }
  }

  private void remove(String id) {
    TextState state = open.remove(id).text().state();
    if (users.merge(state, -1, Integer::sum) == 0) {
      users.remove(state);
      bytes -= state.bytes();
    }
    state.close();
  }

  private void touch(String id, boolean isBusy) {
    Open one = open.remove(id);
    open.put(id, new Open(one.text(), one.created(), Instant.now(), isBusy));
  }

  private Session session(String id, Open one) {
    int tokens = one.text().ids().length;
    Instant expires = one.used().plus(options.sessionExpiry());
    return new Session(id, tokens, one.text().state().bytes(), one.created(), expires);
  }

  private Open find(String id) {
    expire();
    Open found = open.get(id);
    if (found == null) {
      String text = "there is no session %s; it expired, was deleted, or never was";
      throw new NotFoundException(text.formatted(id));
    }
    return found;
  }

  /** Ends those that were unused too long. */
  synchronized void expire() {
    Instant last = Instant.now().minus(options.sessionExpiry());
    List<String> old = new ArrayList<>();
    for (var one : open.entrySet()) {
      if (one.getValue().used().isAfter(last)) {
        break; // as those behind it are
      }
      if (!one.getValue().isBusy()) {
        old.add(one.getKey());
      }
    }
    old.forEach(this::remove);
  }

  synchronized void close() {
    closed = true;
    new ArrayList<>(open.keySet()).forEach(this::remove);
  }
}
