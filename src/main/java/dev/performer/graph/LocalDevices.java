package dev.performer.graph;

import static org.tensorflow.internal.c_api.global.tensorflow.TF_CloseSession;
import static org.tensorflow.internal.c_api.global.tensorflow.TF_DeleteDeviceList;
import static org.tensorflow.internal.c_api.global.tensorflow.TF_DeleteSession;
import static org.tensorflow.internal.c_api.global.tensorflow.TF_DeviceListCount;
import static org.tensorflow.internal.c_api.global.tensorflow.TF_DeviceListMemoryBytes;
import static org.tensorflow.internal.c_api.global.tensorflow.TF_DeviceListName;
import static org.tensorflow.internal.c_api.global.tensorflow.TF_DeviceListType;
import static org.tensorflow.internal.c_api.global.tensorflow.TF_NewSession;
import static org.tensorflow.internal.c_api.global.tensorflow.TF_SessionListDevices;

import java.util.ArrayList;
import java.util.List;
import org.tensorflow.TensorFlow;
import org.tensorflow.internal.c_api.TF_Graph;
import org.tensorflow.internal.c_api.TF_SessionOptions;
import org.tensorflow.internal.c_api.TF_Status;

/** The devices that a session of this process has. */
public final class LocalDevices {
  private LocalDevices() {}

  /**
   * One device.
   *
   * @param name such as {@code /device:GPU:0}
   * @param type {@code CPU}, {@code GPU}
   * @param memoryBytes what TensorFlow may take of a GPU's memory; of a processor's 256 MB, which
   *     mean nothing
   */
  public record Device(String name, String type, long memoryBytes) {}

  /** Opens a session to list them. */
  public static List<Device> list() {
    TensorFlow.version(); // loads the native library
    List<Device> devices = new ArrayList<>();
    try (TF_Status status = TF_Status.newStatus();
        TF_Graph graph = TF_Graph.newGraph();
        TF_SessionOptions options = TF_SessionOptions.newSessionOptions()) {
      var session = TF_NewSession(graph, options, status);
      status.throwExceptionIfNotOK();
      try {
        var list = TF_SessionListDevices(session, status);
        status.throwExceptionIfNotOK();
        for (int i = 0; i < TF_DeviceListCount(list); i++) {
          String name = TF_DeviceListName(list, i, status).getString();
          String type = TF_DeviceListType(list, i, status).getString();
          long bytes = TF_DeviceListMemoryBytes(list, i, status);
          devices.add(new Device(name.substring(name.lastIndexOf("/device:")), type, bytes));
        }
        TF_DeleteDeviceList(list);
      } finally {
        TF_CloseSession(session, status);
        TF_DeleteSession(session, status);
      }
    }
    return devices;
  }
}
