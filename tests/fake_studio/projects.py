"""Projects: their settings, their labelling page, and what is counted of them at any moment."""

from xml.etree import ElementTree as ET

from fake_studio.tasks import delete_task, tasks_of
from fake_studio.wire import invalid

SETTINGS = {
    "description": "",
    "expert_instruction": "",
    "show_instruction": False,
    "maximum_annotations": 1,
    "show_collab_predictions": True,
    "model_version": "",
}


def check_config(config):
    """What is stored of a config: all but the blanks around it."""
    try:
        ET.fromstring(config)
    except ET.ParseError as error:
        raise invalid(label_config=[str(error)]) from error
    return config.strip()


def create_project(request):
    """A project. Nothing is counted yet."""
    assert request.user
    given = request.json
    title = given["title"].strip()
    if not 3 <= len(title) <= 50:
        raise invalid(title=["Ensure this field has at least 3 characters."])
    project = {"id": request.studio.number(), "title": title}
    project |= {name: given.get(name, value) for name, value in SETTINGS.items()}
    project["description"] = project["description"].strip()
    project["label_config"] = check_config(given["label_config"])
    project["created_at"] = request.now()
    request.studio.projects[project["id"]] = project
    return 201, project | dict.fromkeys(counted(request, project))


def change_project(request, number):
    """Other settings, unless annotations made here would become invalid; imported ones may."""
    project, given = request.one("projects", number), request.json
    if "label_config" in given:
        given["label_config"] = check_config(given["label_config"])
        names = {tag.get("name") for tag in ET.fromstring(given["label_config"]).iter()}
        for annotation in request.studio.annotations.values():
            made_here = annotation["project"] == number and annotation["result_count"]
            if made_here and {item.get("from_name") for item in annotation["result"]} - {
                None,
                *names,
            }:
                what = "Created annotations are incompatible with provided labeling schema"
                raise invalid(label_config=[what])
    check_version(request, project, given.get("model_version", ""))
    project.update({name: given[name] for name in given if name in project})
    return 200, project | counted(request, project)


def check_version(request, project, version):
    """A model can be shown only when there is something of it."""
    guesses = request.studio.predictions.values()
    there = {guess["model_version"] for guess in guesses if guess["project"] == project["id"]}
    if version not in {"", project["model_version"], *there}:
        what = "Model version doesn't exist either as live model or as static predictions."
        raise invalid(model_version=[what])


def delete_project(request, number):
    """The project and all that hangs on it."""
    del request.studio.projects[request.one("projects", number)["id"]]
    for task in [task for task in request.studio.tasks.values() if task["project"] == number]:
        delete_task(request, task["id"])
    return 204, None


def counted(request, project):
    """The numbers of a project, which follow every change at once."""
    studio = request.studio
    made = [a for a in studio.annotations.values() if a["project"] == project["id"]]
    tasks = tasks_of(request, project["id"])
    return {
        "task_number": len(tasks),
        "total_annotations_number": sum(not a["was_cancelled"] for a in made),
        "skipped_annotations_number": sum(a["was_cancelled"] for a in made),
        "ground_truth_number": sum(a["ground_truth"] for a in made),
        "total_predictions_number": sum(task["total_predictions"] for task in tasks),
        "finished_task_number": sum(task["is_labeled"] for task in tasks),
    }


def list_projects(request):
    """A page of projects, newest first."""
    entries = sorted(request.studio.projects.values(), key=lambda p: -p["id"])
    shown = [project | counted(request, project) for project in request.page(entries)]
    return 200, {"count": len(entries), "results": request.chosen(shown)}


def get_project(request, number):
    """A project with its numbers."""
    project = request.one("projects", number)
    return 200, project | counted(request, project)


ROUTES = [
    ("GET", "/api/projects/", list_projects),
    ("POST", "/api/projects/", create_project),
    ("GET", r"/api/projects/(\d+)/", get_project),
    ("PATCH", r"/api/projects/(\d+)/", change_project),
    ("DELETE", r"/api/projects/(\d+)/", delete_project),
]
