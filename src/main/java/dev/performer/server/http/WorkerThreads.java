package dev.performer.server.http;

import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** Threads that answer calls; they end where nothing comes, and do not keep the JVM. */
public final class WorkerThreads {
  private static final long IDLE_SECONDS = 30;

  private WorkerThreads() {}

  /** A pool of so many at most. Its queue has no bound of its own: admission counts the calls. */
  public static ThreadPoolExecutor pool(String name, int most) {
    var queue = new LinkedBlockingQueue<Runnable>();
    var threads = named(name);
    var pool = new ThreadPoolExecutor(most, most, IDLE_SECONDS, TimeUnit.SECONDS, queue, threads);
    pool.allowCoreThreadTimeOut(true);
    return pool;
  }

  /** Makes threads with numbers behind their name. */
  public static ThreadFactory named(String name) {
    AtomicInteger number = new AtomicInteger();
    return action -> {
      Thread thread = new Thread(action, name + number.incrementAndGet());
      thread.setDaemon(true);
      return thread;
    };
  }
}
