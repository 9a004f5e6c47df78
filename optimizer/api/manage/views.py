"""What the views of the management API share: who acts, errors, and tables of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from django.core.exceptions import ValidationError as InvalidRow
from django.db import IntegrityError, models, transaction
from drf_spectacular.utils import (
    OpenApiParameter,
    extend_schema,
    extend_schema_serializer,
    extend_schema_view,
)
from rest_framework import serializers as s
from rest_framework.exceptions import APIException, NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.access.audit import (
    MANAGEMENT_API,
    Actor,
    audit_added,
    audit_changed,
    audit_removed,
    differences,
)
from analytics.access.versioned_rows import save_versioned
from analytics.models import ApiKey
from optimizer.api.http.fields import (
    UNSTORABLE,
    StrictBooleanField,
    StrictIntegerField,
    StrictNumberField,
    StrictSerializer,
    TrimmedTextField,
)
from optimizer.api.http.views import SyncViewSet, client_of
from optimizer.api.v1.schema import ErrorBody
from optimizer.wiring.operation.errors import SetElsewhere, UnknownTarget

MOST_ROWS = 1000
_USUAL_ROWS = 100
_MOST_TEXTS = 200
TAG = "management"
REFUSALS = {400: ErrorBody, 404: ErrorBody, 409: ErrorBody}


class ChangeRefused(APIException):
    """The environment sets the value, and wins."""

    status_code = 409


class ManageViewSet(SyncViewSet):
    """A view of the management API; the gatekeeper has checked the scope of the key."""

    def handle_exception(self, exc: Exception) -> Response:
        """Return the response for an error; what is wrong with a row is wrong with the request."""
        if isinstance(exc, InvalidRow):
            exc = ValidationError(_by_field(exc))
        elif isinstance(exc, UnknownTarget):
            exc = NotFound(str(exc))
        elif isinstance(exc, SetElsewhere):
            exc = ChangeRefused(str(exc))
        response: Response = super().handle_exception(exc)
        return response

    @staticmethod
    def actor(request: Request) -> Actor:
        """Return who acts: the API key, by its name."""
        prefix = client_of(request).key
        name = ApiKey.objects.filter(prefix=prefix).values_list("name", flat=True).first()
        return Actor(MANAGEMENT_API, f"by the key {name or '?'}, {prefix}…")


class StrictModelSerializer(StrictSerializer, s.ModelSerializer):
    """The fields of a row that a client may set; unknown fields and other types are refused."""

    serializer_field_mapping: ClassVar[dict[type[models.Field], type[s.Field]]] = {
        **s.ModelSerializer.serializer_field_mapping,
        models.BooleanField: StrictBooleanField,
        models.FloatField: StrictNumberField,
        models.IntegerField: StrictIntegerField,
        models.PositiveIntegerField: StrictIntegerField,
        models.CharField: TrimmedTextField,
        models.TextField: TrimmedTextField,
    }

    def to_internal_value(self, data: Any) -> Any:
        """Return the valid fields; raise ``ValidationError`` for texts that cannot be stored."""
        bad = (
            [name for name, value in data.items() if _unstorable(value)]
            if isinstance(data, dict)
            else []
        )
        if bad:
            raise ValidationError(
                {name: ["It has characters that are not allowed."] for name in bad}
            )
        return super().to_internal_value(data)


def require_changes(request: Request) -> None:
    """Raise ``ValidationError`` for a body without any field, or none at all."""
    if not request.data:
        raise ValidationError({"body": ["It has nothing to change."]})


def texts_field(most_characters: int = 500) -> s.ListField:
    """Return a field for a list of texts that need not be sent."""
    text = TrimmedTextField(max_length=most_characters)
    return s.ListField(child=text, required=False, max_length=_MOST_TEXTS)


class RowsViewSet(ManageViewSet):
    """Lists, shows, creates and changes the rows of one table; each change is audited.

    ``input_class`` has what clients may set, ``output_class`` what they see. ``fixed`` are the
    fields that an existing row keeps, ``related`` the rows that are shown with it.
    """

    rows: ClassVar[type[models.Model]]
    noun: ClassVar[str]
    input_class: ClassVar[type[StrictModelSerializer]]
    output_class: ClassVar[type[s.Serializer]]
    fixed: ClassVar[tuple[str, ...]] = ()
    related: ClassVar[tuple[str, ...]] = ()

    def list(self, request: Request) -> Response:
        """Return the rows in the order in which they were created, a page at a time."""
        page = _Page(data=request.query_params)
        page.is_valid(raise_exception=True)
        limit, after = page.validated_data["limit"], page.validated_data["after"]
        rows = list(self._all().filter(pk__gt=after).order_by("pk")[: limit + 1])
        body = {"data": [self.shown(row) for row in rows[:limit]], "has_more": len(rows) > limit}
        return Response(body)

    def retrieve(self, request: Request, number: int) -> Response:
        """Return one row."""
        return Response(self.shown(self.row(number)))

    def create(self, request: Request) -> Response:
        """Create a row."""
        fields = self.checked(self.input_class(data=request.data), None)
        row = self.rows(**fields)
        with _unique(), transaction.atomic():
            self.save_new(row, self.actor(request))
        self.apply()
        return Response(self.shown(row), status=201)

    def partial_update(self, request: Request, number: int) -> Response:
        """Change some fields of a row."""
        require_changes(request)
        with _unique(), transaction.atomic():
            row = self.row(number, locked=True)
            sent = self.input_class(row, data=request.data, partial=True)
            fields = self.checked(sent, row)
            for name in self.fixed:
                if name in fields and fields[name] != getattr(row, name):
                    raise ValidationError(
                        {name: [f"It cannot change: create another {self.noun}."]}
                    )
            before = self.shown(row)
            for name, value in fields.items():
                setattr(row, name, value)
            self.save_changed(row, before, self.actor(request))
        self.apply()
        return Response(self.shown(row))

    def row(self, number: int, *, locked: bool = False) -> Any:
        """Return the row with this id. Raises :class:`UnknownTarget`."""
        rows = self.rows._default_manager.select_for_update() if locked else self._all()
        row = rows.filter(pk=number).first()
        if row is None:
            raise UnknownTarget(f"There is no {self.noun} {number}.")
        return row

    def shown(self, row: Any) -> Mapping[str, Any]:
        """Return what clients see of a row."""
        return dict(self.output_class(row).data)

    def checked(self, sent: s.Serializer, row: Any) -> dict[str, Any]:
        """Return the fields that were sent. Raises ``ValidationError``."""
        sent.is_valid(raise_exception=True)
        fields: dict[str, Any] = sent.validated_data
        return fields

    def save_new(self, row: Any, who: Actor) -> None:
        """Save a new row, and record it."""
        self.insert(row)
        audit_added(row, differences({}, self.shown(row)), who=who)

    def save_changed(self, row: Any, before: Mapping[str, Any], who: Actor) -> None:
        """Save a changed row, and record what changed."""
        self.update(row)
        audit_changed(row, differences(before, self.shown(row)), who=who)

    def remove(self, row: Any, who: Actor) -> None:
        """Delete a row, and record what it held."""
        with transaction.atomic():
            shown = differences(self.shown(row), {})
            if not self.rows._default_manager.filter(pk=row.pk).delete()[0]:
                raise UnknownTarget(f"There is no {self.noun} {row.pk}.")
            audit_removed(row, shown, who=who)

    def insert(self, row: Any) -> None:
        """Store a new row. Raises Django's ``ValidationError``."""
        save_versioned(row)

    def update(self, row: Any) -> None:
        """Store a changed row. Raises Django's ``ValidationError``."""
        save_versioned(row)

    def apply(self) -> None:
        """Put the change into force on this worker; the others notice it themselves."""

    def _all(self) -> Any:
        rows = self.rows._default_manager.all()
        # Without names, it would join every table that there is a key to.
        return rows.select_related(*self.related) if self.related else rows


class _Page(StrictSerializer):
    limit = s.IntegerField(min_value=1, max_value=MOST_ROWS, default=_USUAL_ROWS)
    after = s.IntegerField(min_value=0, default=0)


def documented(cls: type[RowsViewSet]) -> type[RowsViewSet]:
    """Describe the operations of ``cls`` in the OpenAPI document."""
    noun, name = cls.noun, cls.noun.replace(" ", "_")

    def operation(verb: str, summary: str, **more: Any) -> Callable[..., Any]:
        return extend_schema(
            operation_id=f"manage_{name}_{verb}", summary=summary, tags=[TAG], **more
        )

    page = _list_body(cls)
    return extend_schema_view(
        list=operation(
            "list",
            f"List {noun}s",
            parameters=[
                OpenApiParameter("limit", int, description=f"Most rows, at most {MOST_ROWS}."),
                OpenApiParameter("after", int, description="Only rows with a greater id."),
            ],
            responses={200: page, 400: ErrorBody},
        ),
        retrieve=operation(
            "show", f"Show a {noun}", responses={200: cls.output_class, 404: ErrorBody}
        ),
        create=operation(
            "create",
            f"Create a {noun}",
            request=cls.input_class,
            responses={201: cls.output_class, 400: ErrorBody, 409: ErrorBody},
        ),
        partial_update=operation(
            "change",
            f"Change a {noun}",
            request=cls.input_class,
            responses={200: cls.output_class, **REFUSALS},
        ),
    )(cls)


def _list_body(cls: type[RowsViewSet]) -> type[s.Serializer]:
    members = {"data": cls.output_class(many=True), "has_more": s.BooleanField()}
    name = f"{cls.output_class.__name__}List"
    body: type[s.Serializer] = type(name, (s.Serializer,), {"__doc__": None, **members})
    # It holds the list, and is none.
    return extend_schema_serializer(many=False)(body)


@contextmanager
def _unique() -> Any:
    """Make a row that exists already an error of the request, also where two come at once."""
    try:
        yield
    except IntegrityError:
        raise ValidationError({"name": ["A row with such a value exists already."]}) from None


def _unstorable(value: Any) -> bool:
    """Return whether a text anywhere in ``value`` has characters that databases cannot store."""
    if isinstance(value, dict):
        return any(_unstorable(each) for pair in value.items() for each in pair)
    if isinstance(value, list):
        return any(_unstorable(each) for each in value)
    return isinstance(value, str) and UNSTORABLE.search(value) is not None


def _by_field(error: InvalidRow) -> dict[str, list[str]]:
    if hasattr(error, "error_dict"):
        named = dict(error.message_dict)
        return {"body" if name == "__all__" else name: texts for name, texts in named.items()}
    return {"body": list(error.messages)}
